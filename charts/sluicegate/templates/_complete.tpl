{{/*
What the values lack is taken of files/defaults.yaml, which has all of values.yaml that may not be `null`: `helm upgrade --reuse-values`
brings those of an older chart, which knew fewer. Every template begins with it, since none of them is surely the first.
*/}}
{{- define "sluicegate.complete" -}}
{{- include "sluicegate.fill" (list .Values (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- end -}}

{{/* Of `(list values defaults)`. */}}
{{- define "sluicegate.fill" -}}
{{- $values := index . 0 -}}
{{- range $key, $default := index . 1 -}}
{{- if kindIs "map" $default -}}
{{- if not (kindIs "map" (index $values $key)) -}}
{{- $_ := set $values $key (dict) -}}
{{- end -}}
{{- include "sluicegate.fill" (list (index $values $key) $default) -}}
{{- else if kindIs "invalid" (index $values $key) -}}
{{- $_ := set $values $key $default -}}
{{- end -}}
{{- end -}}
{{- end -}}
