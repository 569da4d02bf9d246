{{/* As it stands before a port. */}}
{{- define "sluicegate.bindAddress" -}}
{{- with .Values.proxy.bindAddress -}}
{{- $bare := trimPrefix "[" . | trimSuffix "]" -}}
{{- contains ":" $bare | ternary (printf "[%s]" $bare) $bare -}}
{{- end -}}
{{- end -}}

{{/* The environment of a proxy, without secrets: one variable per setting, named as its flag. */}}
{{- define "sluicegate.environment" -}}
SLUICEGATE_LISTEN: {{ printf "%s:8080" (include "sluicegate.bindAddress" .) | quote }}
SLUICEGATE_ADMIN_LISTEN: {{ printf "%s:9090" (include "sluicegate.bindAddress" .) | quote }}
{{- range $key, $value := .Values.proxy.settings }}
{{- $name := printf "SLUICEGATE_%s" ($key | snakecase | upper) }}
{{- if kindIs "slice" $value }}
{{- with $value }}
{{ $name }}: {{ join "," . | quote }}
{{- end }}
{{- else if kindIs "string" $value }}
{{ $name }}: {{ $value | quote }}
{{- else if not (kindIs "invalid" $value) }}
{{- /* Not %v: it writes a million as 1e+06. */}}
{{ $name }}: {{ $value | toJson | quote }}
{{- end }}
{{- end }}
{{- if .Values.proxy.tls.enabled }}
SLUICEGATE_TLS_CERT: /etc/sluicegate/tls/tls.crt
SLUICEGATE_TLS_KEY: /etc/sluicegate/tls/tls.key
{{- if .Values.proxy.tls.plain.enabled }}
SLUICEGATE_TLS_LISTEN: {{ printf "%s:8443" (include "sluicegate.bindAddress" .) | quote }}
{{- end }}
{{- end }}
{{- with .Values.proxy.responseKeys.secretName }}
SLUICEGATE_RESPONSE_KEYS: /etc/sluicegate/response-keys/{{ $.Values.proxy.responseKeys.secretKey }}
{{- end }}
{{- with include "sluicegate.redisUrls" . }}
SLUICEGATE_REDIS: {{ . | quote }}
{{- end }}
{{- with .Values.egress.deniedNetworks }}
SLUICEGATE_DENY_NETWORKS: {{ join "," . | quote }}
{{- end }}
{{- with .Values.egress.allowedNetworks }}
SLUICEGATE_ALLOW_NETWORKS: {{ join "," . | quote }}
{{- end }}
{{- with include "sluicegate.certDirs" . }}
SSL_CERT_DIR: {{ . }}
{{- end }}
{{- end -}}

{{/* The variables of the way out, as a container has them: the address may be a secret. */}}
{{- define "sluicegate.egress" -}}
{{- with .Values.egress -}}
{{- if or .proxy .secretName -}}
{{- $egress := . -}}
{{- range list "HTTPS_PROXY" "HTTP_PROXY" }}
- name: "{{ . }}"
  {{- if $egress.secretName }}
  valueFrom:
    secretKeyRef: {name: "{{ $egress.secretName }}", key: "{{ $egress.secretKey }}"}
  {{- else }}
  value: {{ $egress.proxy | quote }}
  {{- end }}
{{- end }}
{{- with .noProxy }}
- name: NO_PROXY
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluicegate.redisUrls" -}}
{{- if .Values.redis.cluster.enabled -}}
{{- $name := printf "%s-redis" (include "sluicegate.fullname" .) -}}
{{- $urls := list -}}
{{- range until 6 -}}
{{- $urls = append $urls (printf "redis://%s-%d.%s.%s.svc:6379" $name . $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- else -}}
{{- range $at, $url := .Values.redis.urls -}}
{{- if contains "@" $url -}}
{{- fail (printf "redis.urls[%d] holds a login, which would stand in a ConfigMap; put it into a Secret and name that in redis.auth" $at) -}}
{{- end -}}
{{- if and (gt (len $.Values.redis.urls) 1) (regexMatch "^[a-z]+://[^/]+/0*[1-9]" $url) -}}
{{- fail (printf "redis.urls[%d] names a database, and several URLs are nodes of a cluster, which has database 0 only; leave it out" $at) -}}
{{- end -}}
{{- end -}}
{{- join "," .Values.redis.urls -}}
{{- end -}}
{{- end -}}
