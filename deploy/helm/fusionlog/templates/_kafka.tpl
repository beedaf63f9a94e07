{{/* Refuse what would only fail, or leak, once it runs. Argument: the root. */}}
{{- define "fusionlog.validate" -}}
{{- $kafka := .Values.kafka -}}
{{- if and (not (hasSuffix "SSL" $kafka.securityProtocol)) (not $kafka.allowPlaintext) -}}
{{- fail (printf "kafka.securityProtocol %s sends log lines unencrypted: set kafka.allowPlaintext to true to accept that, or use SASL_SSL or SSL" $kafka.securityProtocol) -}}
{{- end -}}
{{- range $role, $user := $kafka.users -}}
{{- if and (hasPrefix "SASL" $kafka.securityProtocol) (or (not $user.username) (not $user.passwordSecret.name)) -}}
{{- fail (printf "kafka.users.%s must have username and passwordSecret.name for %s" $role $kafka.securityProtocol) -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.systems -}}
{{- if has .spec.name $names -}}
{{- fail (printf "systems must have distinct names, got %s twice" .spec.name) -}}
{{- end -}}
{{- $names = append $names .spec.name -}}
{{- end -}}
{{- range .Values.trainer.trainings -}}
{{- if not (has .system $names) -}}
{{- fail (printf "trainer.trainings names the system %s, which is not in systems (%s)" .system (join ", " $names)) -}}
{{- end -}}
{{- if and (eq (default "" (default dict .settings).labeller) "openai") (not $.Values.trainer.openaiSecret.name) -}}
{{- fail (printf "trainer.openaiSecret.name must be given, since the training of %s has labeller openai" .system) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The kafka section of a settings file. Argument: dict root, user (agent, trainer or topics). */}}
{{- define "fusionlog.kafkaSettings" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := index $kafka.users .user -}}
bootstrap_servers: {{ $kafka.bootstrapServers | quote }}
security_protocol: {{ $kafka.securityProtocol }}
client_id: {{ printf "%s-%s" (include "fusionlog.fullname" .root) .user }}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
sasl_mechanism: {{ $kafka.saslMechanism }}
sasl_username: {{ $user.username | quote }}
sasl_password_file: /etc/fusionlog/kafka/password
{{- end }}
{{- if hasSuffix "SSL" $kafka.securityProtocol }}
{{- if $kafka.caSecret.name }}
ssl_ca_file: /etc/fusionlog/kafka/ca.crt
{{- end }}
{{- if $user.certificateSecret.name }}
ssl_certificate_file: /etc/fusionlog/kafka/tls.crt
ssl_key_file: /etc/fusionlog/kafka/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secrets of one user as one folder of files; nothing when there are none. Argument: dict root, user. */}}
{{- define "fusionlog.kafkaSecrets" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := index $kafka.users .user -}}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
- secret:
    name: {{ $user.passwordSecret.name }}
    items: [{key: {{ $user.passwordSecret.key | quote }}, path: password}]
{{- end }}
{{- if hasSuffix "SSL" $kafka.securityProtocol }}
{{- with $kafka.caSecret }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{key: {{ .key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- with $user.certificateSecret }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items:
      - {key: {{ .certificateKey | quote }}, path: tls.crt}
      - {key: {{ .keyKey | quote }}, path: tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
