{{/* What the pods of operator and proxies have in common. */}}

{{/*
The restricted pod security standard, unless the values say otherwise. OpenShift gives each namespace a range of its own, and
refuses a user, a group or a volume's group outside of it: there none is asked for.
*/}}
{{- define "sluicegate.podSecurity" -}}
{{- $security := .Values.podSecurityContext | default dict -}}
{{- if .Values.openshift -}}
{{- $security = omit $security "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{- define "sluicegate.containerSecurity" -}}
{{- toYaml (.Values.securityContext | default dict) -}}
{{- end -}}

{{/* Of `(list $ "proxy")` or `(list $ "operator")`: the volumes of its pods beside those that only they have. */}}
{{- define "sluicegate.volumes" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.trustedCA -}}
{{- if .configMapName }}
- name: trusted-ca
  configMap: {name: "{{ .configMapName }}", items: [{key: "{{ .key }}", path: ca.pem}]}
{{- else if .secretName }}
- name: trusted-ca
  secret: {secretName: "{{ .secretName }}", items: [{key: "{{ .key }}", path: ca.pem}]}
{{- end }}
{{- end }}
{{- if and (eq (index . 1) "operator") $root.Values.operator.priceList.enabled }}
- name: prices
  configMap: {name: "{{ include "sluicegate.fullname" $root }}-prices"}
{{- end }}
{{- with (index $root.Values (index . 1)).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of the same: where its containers have them. */}}
{{- define "sluicegate.volumeMounts" -}}
{{- $root := index . 0 -}}
{{- if include "sluicegate.hasTrustedCA" $root }}
- {name: trusted-ca, mountPath: /etc/sluicegate/ca, readOnly: true}
{{- end }}
{{- if and (eq (index . 1) "operator") $root.Values.operator.priceList.enabled }}
- {name: prices, mountPath: /etc/sluicegate/prices, readOnly: true}
{{- end }}
{{- with (index $root.Values (index . 1)).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The list of what models cost; nothing where none is used. */}}
{{- define "sluicegate.priceList" -}}
{{- with .Values.operator.priceList }}
{{- if .enabled }}{{ .custom | default ($.Files.Get "files/prices.yaml") }}{{ end }}
{{- end }}
{{- end -}}

{{- define "sluicegate.hasTrustedCA" -}}
{{- if or .Values.trustedCA.configMapName .Values.trustedCA.secretName -}}true{{- end -}}
{{- end -}}

{{/* Where certificates of authorities are, when there are more than the image's. */}}
{{- define "sluicegate.certDirs" -}}
{{- if include "sluicegate.hasTrustedCA" . -}}/etc/ssl/certs:/etc/sluicegate/ca{{- end -}}
{{- end -}}

{{/* Of `(list $ "proxy")` or `(list $ "operator")`: where its pods go. */}}
{{- define "sluicegate.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index $root.Values $part -}}
{{- with $values.priorityClassName }}
priorityClassName: "{{ . }}"
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
{{- with $values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $further := $values.topologySpreadConstraints }}
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
{{- $text := kindIs "string" . | ternary (toString .) (toJson .) -}}
{{- if hasSuffix "ms" $text -}}
{{- div (add (atoi (trimSuffix "ms" $text)) 999) 1000 -}}
{{- else if hasSuffix "h" $text -}}
{{- mul (atoi (trimSuffix "h" $text)) 3600 -}}
{{- else if hasSuffix "m" $text -}}
{{- mul (atoi (trimSuffix "m" $text)) 60 -}}
{{- else -}}
{{- atoi (trimSuffix "s" $text) -}}
{{- end -}}
{{- end -}}
