{{/* Names, labels and the image. */}}

{{- define "sluicegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The gateway. Short enough for its longest suffix, and for a label. */}}
{{- define "sluicegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sluicegate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of `(list $ "component")`: what pods are selected by. Never changes in a release's life. */}}
{{- define "sluicegate.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "sluicegate.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Of `(list $ "component")`: on every object. */}}
{{- define "sluicegate.labels" -}}
{{- $root := index . 0 -}}
{{- range list "helm.sh/chart" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" -}}
{{- if hasKey (default dict $root.Values.commonLabels) . -}}
{{- fail (printf "commonLabels: %s is the chart's own label; leave it out" .) -}}
{{- end -}}
{{- end -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "sluicegate.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
{{- if not (hasKey (default dict $root.Values.commonLabels) "app.kubernetes.io/part-of") }}
app.kubernetes.io/part-of: sluicegate
{{- end }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of `(list $ "component")`: on pods. Not the chart's version: a chart that changes nothing of a pod replaces none. */}}
{{- define "sluicegate.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "sluicegate.selector" . }}
{{- if not (hasKey (default dict $root.Values.commonLabels) "app.kubernetes.io/part-of") }}
app.kubernetes.io/part-of: sluicegate
{{- end }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sluicegate.image" -}}
{{- with .Values.image -}}
{{- with .registry -}}{{ trimSuffix "/" . }}/{{- end -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of `(list $ "proxy")` or `(list $ "operator")`. */}}
{{- define "sluicegate.account" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- with (index $root.Values $part).serviceAccount -}}
{{- if .create -}}
{{- .name | default (printf "%s-%s" (include "sluicegate.fullname" $root) $part) -}}
{{- else -}}
{{- .name | default "default" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluicegate.settings" -}}
{{- include "sluicegate.fullname" . }}-settings
{{- end -}}

{{- define "sluicegate.tlsSecret" -}}
{{- .Values.proxy.tls.secretName | default (printf "%s-tls" (include "sluicegate.fullname" .)) -}}
{{- end -}}

{{- define "sluicegate.scheme" -}}
{{- .Values.proxy.tls.enabled | ternary "https" "http" -}}
{{- end -}}

{{/* Whether there is a plain port beside the one with TLS. */}}
{{- define "sluicegate.hasBoth" -}}
{{- if and .Values.proxy.tls.enabled .Values.proxy.tls.plain.enabled -}}true{{- end -}}
{{- end -}}

{{- define "sluicegate.port" -}}
{{- .Values.proxy.service.port | default (.Values.proxy.tls.enabled | ternary 443 80) | int -}}
{{- end -}}
