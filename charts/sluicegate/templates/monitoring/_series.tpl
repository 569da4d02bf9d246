{{/* What tells this gateway's series from others'. */}}
{{- define "sluicegate.selectSeries" -}}
namespace="{{ .Release.Namespace }}",gateway="{{ include "sluicegate.fullname" . }}"
{{- end -}}

{{- define "sluicegate.hasMonitoring" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}true{{- end -}}
{{- end -}}

{{/*
Of `(list $ "metric" ",more=labels" "10m")`: by how much each of these counters has grown. A series that was not there at the
beginning of the time began at 0, which `increase` can not know: it would miss a first failure, and with few calls a day all of them.
*/}}
{{- define "sluicegate.growth" -}}
{{- $series := printf "%s{%s%s}" (index . 1) (include "sluicegate.selectSeries" (index . 0)) (index . 2) -}}
({{ $series }} unless {{ $series }} offset {{ index . 3 }} or increase({{ $series }}[{{ index . 3 }}]))
{{- end -}}
