{{/* The variable that redis-cli reads, too. */}}
{{- define "sluicegate.redisLogin" -}}
{{- with .Values.redis.auth -}}
{{- if .secretName -}}
- name: REDISCLI_AUTH
  valueFrom:
    secretKeyRef: {name: "{{ .secretName }}", key: "{{ .passwordKey }}"}
{{- end -}}
{{- end -}}
{{- end -}}
