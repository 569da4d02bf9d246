{{/* What the pods of operator and proxies have in common. */}}

{{/* The restricted pod security standard. */}}
{{- define "sluicegate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "sluicegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Of `(list $ "proxy")` or `(list $ "operator")`: where its pods go. */}}
{{- define "sluicegate.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index $root.Values $part -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $further := get $values "topologySpreadConstraints" }}
{{- if or (ne $values.topologySpread "Off") $further }}
topologySpreadConstraints:
{{- if ne $values.topologySpread "Off" }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: {{ $values.topologySpread }}
  labelSelector:
    matchLabels: {{- include "sluicegate.selector" (list $root $part) | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- with $further }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Seconds of a time as settings write it, rounded up: `250ms`, `30s`, `5m`, `1h`, `90`. */}}
{{- define "sluicegate.seconds" -}}
{{- $text := toString . -}}
{{- if hasSuffix "ms" $text -}}
{{- div (add (int (trimSuffix "ms" $text)) 999) 1000 -}}
{{- else if hasSuffix "h" $text -}}
{{- mul (int (trimSuffix "h" $text)) 3600 -}}
{{- else if hasSuffix "m" $text -}}
{{- mul (int (trimSuffix "m" $text)) 60 -}}
{{- else -}}
{{- int (trimSuffix "s" $text) -}}
{{- end -}}
{{- end -}}
