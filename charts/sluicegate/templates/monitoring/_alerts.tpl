{{/* Each alert is something to do; the description says what. */}}
{{- define "sluicegate.alerts" -}}
{{- $series := include "sluicegate.selectSeries" . -}}
{{- $gateway := printf "%s/%s" .Release.Namespace (include "sluicegate.fullname" .) -}}
- name: {{ printf "sluicegate.%s" (include "sluicegate.fullname" .) }}
  rules:
  - alert: SluicegateCallsFail
    expr: |-
      sum(rate(sluicegate_requests_total{ {{- $series }},outcome=~"failed|upstream_cut|timed_out"}[5m]))
        / sum(rate(sluicegate_requests_total{ {{- $series }}}[5m])) > 0.05
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "critical") | nindent 6 }}
    annotations:
      summary: {{ printf "More than 5 %% of the calls to %s fail" $gateway | quote }}
      description: >-
        Which provider fails is in sluicegate_attempts_total by result; which calls, in the access log. A pool with one
        provider has nowhere to go: give it a second one with a higher priority number.
  - alert: SluicegateNoProxy
    expr: absent(sluicegate_build_info{ {{- $series }}})
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "critical") | nindent 6 }}
    annotations:
      summary: {{ printf "No proxy of %s is seen" $gateway | quote }}
      description: Either no proxy runs, or they are not scraped. kubectl get pods -l sluicegate.dev/gateway says which.
  - alert: SluicegateEndpointOpen
    expr: max by (pool, provider, endpoint) (sluicegate_endpoint_circuit_state{ {{- $series }}}) == 2
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "An endpoint behind %s has been left alone for ten minutes" $gateway | quote }}
      description: >-
        {{ "{{ $labels.provider }} of pool {{ $labels.pool }} at {{ $labels.endpoint }}" }} keeps failing. The others carry its calls. Its
        errors are in the access log, its circuit's settings in the pool's circuitBreaker.
  - alert: SluicegateConfigRejected
    expr: max by (pod) (sluicegate_config_rejected_objects{ {{- $series }}}) > 0
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "A proxy of %s does not run what is written" $gateway | quote }}
      description: >-
        What was last valid keeps serving. kubectl get llmroutes,providerpools -A shows which object; /config on the admin address of
        {{ "{{ $labels.pod }}" }} says why.
  - alert: SluicegateGatewaySlow
    expr: |-
      histogram_quantile(0.99, sum by (le) (rate(sluicegate_gateway_overhead_seconds_bucket{ {{- $series }}}[5m]))) > 0.05
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "%s itself adds more than 50 ms to one call in a hundred" $gateway | quote }}
      description: Usually CPU is short. Look at the proxies' process_cpu_seconds_total beside their limits, and scale out.
  - alert: SluicegateRedisAway
    expr: sum(sluicegate_cache_breakers_open{ {{- $series }},layer="redis"}) > 0
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "A Redis node that %s shares answers through is away" $gateway | quote }}
      description: Calls go on, answered by providers; it costs money, not errors. Look after the Redis Cluster.
  - alert: SluicegateLogLinesDropped
    expr: sum(rate(sluicegate_log_lines_dropped_total{ {{- $series }}}[5m])) > 0
    for: 15m
    labels: {{- include "sluicegate.alertLabels" (list . "info") | nindent 6 }}
    annotations:
      summary: {{ printf "%s writes fewer log lines than there are" $gateway | quote }}
      description: Standard output is read too slowly, or every call has a line. Lower proxy.settings.logSample.
  - alert: SluicegateSeriesFolded
    expr: sum(increase(sluicegate_series_folded_total{ {{- $series }}}[1h])) > 0
    labels: {{- include "sluicegate.alertLabels" (list . "info") | nindent 6 }}
    annotations:
      summary: {{ printf "%s has more label sets than it keeps apart" $gateway | quote }}
      description: Further ones are counted under `other`. Fewer routes, pools or named models make fewer.
{{- end -}}

{{- define "sluicegate.alertLabels" -}}
severity: {{ index . 1 }}
{{- with (index . 0).Values.monitoring.prometheusRule.alertLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
