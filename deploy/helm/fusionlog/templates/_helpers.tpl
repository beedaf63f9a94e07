{{- define "fusionlog.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters, so that "-trainer-<system>" and a CronJob's suffix fit. */}}
{{- define "fusionlog.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "fusionlog.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "fusionlog.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* A CronJob's name may have 52 characters; a long one keeps its start and a hash of all of it. */}}
{{- define "fusionlog.trainingName" -}}
{{- $name := printf "%s-train-%s" (include "fusionlog.fullname" .root) .system -}}
{{- if gt (len $name) 52 -}}
{{- printf "%s-%s" ($name | trunc 43 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "fusionlog.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fusionlog.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Argument: dict root, component (agent or trainer: the targets of the Dockerfile; the topics job runs the agent's). */}}
{{- define "fusionlog.image" -}}
{{- $image := (index .root.Values .component).image -}}
{{- $repository := default (printf "%s-%s" .root.Values.image.repository .component) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (coalesce $image.tag .root.Values.image.tag .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Argument: dict root, component. */}}
{{- define "fusionlog.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fusionlog.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "fusionlog.labels" -}}
{{ include "fusionlog.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fusionlog
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
