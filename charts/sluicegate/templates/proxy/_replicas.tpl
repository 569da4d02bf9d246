{{/* How many proxies, or nothing where that is not for the chart to say. */}}

{{/*
A number that one revision says and the next does not is taken away by Helm, and the API server puts 1 in its place: from four
proxies to one, before whatever scales them has looked. So what stands now is said on, from the upgrade on that leaves the
number to others. A Deployment whose manifest never had one, which its annotation tells, goes on without.
*/}}
{{- define "sluicegate.replicas" -}}
{{- if and (not (include "sluicegate.scaled" .)) (not (kindIs "invalid" .Values.proxy.replicas)) -}}
{{- int .Values.proxy.replicas -}}
{{- else -}}
{{- $stands := lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-proxy" (include "sluicegate.fullname" .)) -}}
{{- if $stands -}}
{{- if ne (dig "metadata" "annotations" "sluicegate.dev/replicas" "" $stands) "left-out" -}}
{{- with dig "spec" "replicas" 0 $stands -}}
{{- int . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether the chart makes something that scales them. */}}
{{- define "sluicegate.scaled" -}}
{{- $scaling := .Values.proxy.autoscaling -}}
{{- if or $scaling.hpa.enabled $scaling.keda.enabled -}}true{{- end -}}
{{- end -}}

{{/* Whether several are meant: else a disruption budget would only block drains. */}}
{{- define "sluicegate.manyProxies" -}}
{{- if or (include "sluicegate.scaled" .) (kindIs "invalid" .Values.proxy.replicas) -}}
{{- if gt (int .Values.proxy.autoscaling.minReplicas) 1 -}}true{{- end -}}
{{- else if gt (int .Values.proxy.replicas) 1 -}}true{{- end -}}
{{- end -}}
