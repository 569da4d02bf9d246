{{/* What would be installed and could not run. Prints nothing. */}}
{{- define "sluicegate.checks" -}}
{{- if and .Values.trustedCA.configMapName .Values.trustedCA.secretName -}}
{{- fail "trustedCA: name a ConfigMap or a Secret, not both" -}}
{{- end -}}
{{- if and .Values.redis.cluster.enabled .Values.redis.auth.usernameKey -}}
{{- fail "redis.auth.usernameKey: the chart's own nodes know the default user only; leave it out, or name nodes of yours in redis.urls" -}}
{{- end -}}
{{- include "sluicegate.checkSettings" . -}}
{{- include "sluicegate.checkScaling" . -}}
{{- include "sluicegate.checkPriceList" . -}}
{{- end -}}

{{- define "sluicegate.checkSettings" -}}
{{- with .Values.proxy.settings.keepResponses -}}
{{- if and (ne (toString .) "0") (ne (toString .) "0s") (not $.Values.proxy.responseKeys.secretName) -}}
{{- fail "proxy.settings.keepResponses: conversations are kept encrypted; name the Secret of their keys in proxy.responseKeys.secretName" -}}
{{- end -}}
{{- end -}}
{{- $limit := dig "limits" "memory" "" (default dict .Values.proxy.resources) -}}
{{- with .Values.proxy.settings.memoryBudget -}}
{{- $budget := include "sluicegate.bytes" (list .) -}}
{{- $bytes := include "sluicegate.bytes" (list $limit) -}}
{{- if and $budget $bytes -}}
{{- if ge (float64 $budget) (float64 $bytes) -}}
{{- fail (printf "proxy.settings.memoryBudget: %s leaves the process nothing of the memory limit, %s (proxy.resources.limits.memory); half of it is the default" (toString .) (toString $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluicegate.checkScaling" -}}
{{- $resources := default dict .Values.proxy.resources -}}
{{- $request := dig "requests" "cpu" (dig "limits" "cpu" "" $resources) $resources -}}
{{- range $kind := list "hpa" "keda" -}}
{{- $scaling := index $.Values.proxy.autoscaling $kind -}}
{{- if and $scaling.enabled $scaling.cpuPercent (not $request) -}}
{{- fail (printf "proxy.autoscaling.%s.cpuPercent is of the CPU that a proxy requests, and proxy.resources requests none: give requests.cpu, or cpuPercent: null" $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Only the head of it: the rest the operator reads, which ends with words about what is wrong. */}}
{{- define "sluicegate.checkPriceList" -}}
{{- with .Values.operator.priceList -}}
{{- if and .enabled .custom -}}
{{- $list := fromYaml .custom -}}
{{- if hasKey $list "Error" -}}
{{- fail (printf "operator.priceList.custom is no YAML: %s" $list.Error) -}}
{{- end -}}
{{- if or (ne (toString $list.apiVersion) "sluicegate.dev/v1alpha1") (ne (toString $list.kind) "PriceList") -}}
{{- fail "operator.priceList.custom is no PriceList of sluicegate.dev/v1alpha1: write it as files/prices.yaml is, with apiVersion and kind" -}}
{{- end -}}
{{- if not (and (kindIs "string" $list.date) (regexMatch "^[0-9]{4}-[0-9]{2}-[0-9]{2}" $list.date) (kindIs "slice" $list.vendors)) -}}
{{- fail "operator.priceList.custom: a PriceList has a date, such as 2026-11-28, and a list of vendors" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of a size as settings or Kubernetes write it, in a list: its bytes, or nothing where it is written otherwise. */}}
{{- define "sluicegate.bytes" -}}
{{- $text := index . 0 -}}
{{- if not (kindIs "string" $text) -}}
{{- $text = toJson $text -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text | trimSuffix "B" -}}
{{- $units := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if and $number (hasKey $units $unit) -}}
{{- mulf (float64 $number) (index $units $unit) -}}
{{- end -}}
{{- end -}}
