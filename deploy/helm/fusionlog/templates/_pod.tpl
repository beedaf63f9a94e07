{{/* What every pod has in common, as the restricted Pod Security profile asks. Argument: the root. */}}
{{- define "fusionlog.podBasics" -}}
serviceAccountName: {{ include "fusionlog.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.podSecurityContext.runAsUser }}
  runAsGroup: {{ .Values.podSecurityContext.runAsGroup }}
  fsGroup: {{ .Values.podSecurityContext.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Argument: dict root, component. */}}
{{- define "fusionlog.containerBasics" -}}
image: {{ include "fusionlog.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
workingDir: /var/lib/fusionlog
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Environment of every container; libraries write below HOME. Argument: dict root, extra. */}}
{{- define "fusionlog.environment" -}}
env:
  - {name: HOME, value: /tmp}
  - {name: RAY_USAGE_STATS_ENABLED, value: "0"}
  {{- with .extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.artifactStore.envSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* Mounts of every container. Argument: dict root, user. */}}
{{- define "fusionlog.mounts" -}}
- {name: settings, mountPath: /etc/fusionlog/settings, readOnly: true}
{{- if include "fusionlog.kafkaSecrets" . | trim }}
- {name: kafka, mountPath: /etc/fusionlog/kafka, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /var/lib/fusionlog}
{{- end -}}

{{/* Volumes of every pod but its data. Argument: dict root, user, configMap, items. */}}
{{- define "fusionlog.volumes" -}}
- name: settings
  configMap:
    name: {{ .configMap }}
    items:
      {{- toYaml .items | nindent 6 }}
{{- with include "fusionlog.kafkaSecrets" . | trim }}
- name: kafka
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: {{ .root.Values.agent.scratchSize }}}
{{- end -}}

{{/* Argument: agent or trainer values. */}}
{{- define "fusionlog.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
