{{/* What tells this gateway's series from others'. */}}
{{- define "sluicegate.selectSeries" -}}
namespace="{{ .Release.Namespace }}",gateway="{{ include "sluicegate.fullname" . }}"
{{- end -}}

{{- define "sluicegate.hasMonitoring" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}true{{- end -}}
{{- end -}}
