{{/* agent.yaml; for `user: topics` the same file with the identity that may create topics. Argument: dict root, user. */}}
{{- define "fusionlog.agentSettings" -}}
{{- $values := .root.Values -}}
{{- $settings := dict "group" (printf "%s-agent" $values.topicPrefix) -}}
{{- $settings = mergeOverwrite $settings (deepCopy $values.agent.settings) -}}
{{- $_ := set $settings "kafka" (include "fusionlog.kafkaSettings" . | fromYaml) -}}
{{- $_ := set $settings "topic_prefix" $values.topicPrefix -}}
{{- $_ := set $settings "systems" $values.systems -}}
{{- $_ := set $settings "http" (dict "host" "0.0.0.0" "port" (int $values.agent.httpPort)) -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* trainer.yaml of one training. Argument: dict root, training. */}}
{{- define "fusionlog.trainerSettings" -}}
{{- $values := .root.Values -}}
{{- $training := .training -}}
{{- $settings := deepCopy (default dict $training.settings) -}}
{{- range $values.systems -}}
{{- if eq .spec.name $training.system -}}
{{- $target := dict "path" (printf "kafka://%s" (first .topics)) -}}
{{- $target = mergeOverwrite $target (deepCopy (default dict $settings.target)) (dict "spec" .spec) -}}
{{- $_ := set $settings "target" $target -}}
{{- end -}}
{{- end -}}
{{- if eq (default "" $settings.labeller) "openai" -}}
{{- $openai := deepCopy (default dict $settings.openai) -}}
{{- $_ := set $settings "openai" (set $openai "api_key_file" "/etc/fusionlog/openai/api-key") -}}
{{- end -}}
{{- $_ := set $settings "kafka" (include "fusionlog.kafkaSettings" (dict "root" .root "user" "trainer") | fromYaml) -}}
{{- $_ := set $settings "topic_prefix" $values.topicPrefix -}}
{{- $_ := set $settings "store" $values.artifactStore.url -}}
{{- $_ := set $settings "work_dir" (printf "/var/lib/fusionlog/%s" $training.system) -}}
{{- toYaml $settings -}}
{{- end -}}
