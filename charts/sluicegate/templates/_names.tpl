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
app.kubernetes.io/name: "{{ include "sluicegate.name" $root }}"
app.kubernetes.io/instance: "{{ $root.Release.Name }}"
app.kubernetes.io/component: "{{ index . 1 }}"
{{- end -}}

{{/*
Of `(list $ "component")`: on every object. Of one that has labels of its own, `(list $ "component" "what.says.them" labels)`.
*/}}
{{- define "sluicegate.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: "{{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}"
{{ include "sluicegate.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
{{ include "sluicegate.furtherLabels" (list . "helm.sh/chart" "app.kubernetes.io/version" "app.kubernetes.io/managed-by") }}
app.kubernetes.io/managed-by: "{{ $root.Release.Service }}"
{{- end -}}

{{/* Of the same: on pods. Not the chart's version: a chart that changes nothing of a pod replaces none. */}}
{{- define "sluicegate.podLabels" -}}
{{ include "sluicegate.selector" . }}
{{ include "sluicegate.furtherLabels" (list .) }}
{{- end -}}

{{/*
Of `(list of "label" …)`, where `of` is as above: the labels that may be another's, those of the values over the chart's, an object's own
over those on every object. One that the chart gives itself is refused: those of a selector, those that something is found by, and the ones
named here.
*/}}
{{- define "sluicegate.furtherLabels" -}}
{{- $of := index . 0 -}}
{{- $root := index $of 0 -}}
{{- $found := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "sluicegate.dev/gateway" "sluicegate.dev/scrape" -}}
{{- $every := concat $found (list "helm.sh/chart" "app.kubernetes.io/version" "app.kubernetes.io/managed-by") -}}
{{- $labels := dict "app.kubernetes.io/part-of" "sluicegate" -}}
{{- range $label, $value := default dict $root.Values.commonLabels -}}
{{- if has $label $every -}}
{{- fail (printf "commonLabels: %s is the chart's own label; leave it out" $label) -}}
{{- end -}}
{{- $_ := set $labels $label $value -}}
{{- end -}}
{{- if gt (len $of) 2 -}}
{{- $own := concat $found (rest .) -}}
{{- range $label, $value := default dict (index $of 3) -}}
{{- if has $label $own -}}
{{- fail (printf "%s: %s is the chart's own label; leave it out" (index $of 2) $label) -}}
{{- end -}}
{{- $_ := set $labels $label $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $labels -}}
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
