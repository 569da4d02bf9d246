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
That is so only where its process was looked at then, or is itself younger: a Prometheus that has just begun knows nothing of what was before.
*/}}
{{- define "sluicegate.growth" -}}
{{- $own := include "sluicegate.selectSeries" (index . 0) -}}
{{- $series := printf "%s{%s%s}" (index . 1) $own (index . 2) -}}
{{- $process := printf "process_start_time_seconds{%s}" $own -}}
{{- $time := index . 3 -}}
{{- $seconds := get (dict "10m" "600" "15m" "900" "1h" "3600") $time | required "a time whose seconds are known" -}}
({{ $series }} unless {{ $series }} offset {{ $time }} and on (pod) ({{ $process }} offset {{ $time }} or {{ $process }} > time() - {{ $seconds }}) or increase({{ $series }}[{{ $time }}]))
{{- end -}}
