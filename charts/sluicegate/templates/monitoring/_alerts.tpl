{{/* Each alert is something to do; the description says what. */}}
{{- define "sluicegate.alerts" -}}
{{- $series := include "sluicegate.selectSeries" . -}}
{{- $gateway := printf "%s/%s" .Release.Namespace (include "sluicegate.fullname" .) -}}
- name: "{{ printf "sluicegate.%s" (include "sluicegate.fullname" .) }}"
  rules:
  - alert: SluicegateCallsFail
    {{- $lost := include "sluicegate.growth" (list . "sluicegate_requests_total" ",outcome=~\"failed|upstream_cut|timed_out\"" "10m") }}
    expr: |-
      sum{{ $lost }}
        / sum{{ include "sluicegate.growth" (list . "sluicegate_requests_total" "" "10m") }} > 0.05
        and sum{{ $lost }} >= 3
    for: 3m
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
    {{- /* Between two trials it is open, in one half open, for as long as the provider hangs; one that opened once and was not asked since may be well. */}}
    expr: >-
      max by (pool, provider, endpoint) (sluicegate_endpoint_circuit_state{ {{- $series }}}) > 0
      and sum by (pool, provider, endpoint) {{ include "sluicegate.growth" (list . "sluicegate_endpoint_circuit_opened_total" "" "1h") }} > 1
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "An endpoint behind %s has been failing for ten minutes" $gateway | quote }}
      description: >-
        {{ "{{ $labels.provider }} of pool {{ $labels.pool }} at {{ $labels.endpoint }}" }} keeps failing. The others carry its calls. Its
        errors are in the access log, its circuit's settings in the pool's circuitBreaker.
  - alert: SluicegateKeyRefused
    expr: max by (pool, provider, key) (sluicegate_provider_key_state{ {{- $series }}}) == 2
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "A provider refuses a key of %s" $gateway | quote }}
      description: >-
        {{ "{{ $labels.provider }} of pool {{ $labels.pool }} refuses its key {{ $labels.key }}" }}: it has expired or was withdrawn, or the account has no
        money. Its other keys and other providers carry its calls, if there are any. Write another one into its Secret.
  - alert: SluicegateConfigRejected
    expr: max by (pod) (sluicegate_config_rejected_objects{ {{- $series }}}) > 0
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "A proxy of %s does not run what is written" $gateway | quote }}
      description: >-
        What was last valid keeps serving. kubectl get llmroutes,llmconsumers,providerpools -A shows which object; /config on the admin address of
        {{ "{{ $labels.pod }}" }} says why.
  - alert: SluicegateGatewaySlow
    expr: |-
      histogram_quantile(0.99, sum by (le) (rate(sluicegate_gateway_overhead_seconds_bucket{ {{- $series }}}[5m]))) > 0.05
        and sum(increase(sluicegate_gateway_overhead_seconds_count{ {{- $series }}}[5m])) > 100
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
      description: >-
        Calls go on, answered by providers, which costs money; but limits and budgets with onUnavailable FailClosed refuse calls, and each proxy
        holds its share of the others. Look after the Redis Cluster, and whether its address is right.
  - alert: SluicegateRedisRefuses
    expr: sum by (reason) {{ include "sluicegate.growth" (list . "sluicegate_redis_refusals_total" "" "10m") }} > 10
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "Redis answers %s and says no" $gateway | quote }}
      description: >-
        It says {{ "{{ $labels.reason }}" }}: each proxy keeps to its share of limits and budgets, and answers are not shared. NOPERM and AUTH are the rights
        and the password of its user (docs/install.md), OOM is a Redis that is full, READONLY one that is no master. The proxies' log has node and words.
  - alert: SluicegateCertificateEnds
    expr: min(sluicegate_tls_certificate_not_after_timestamp_seconds{ {{- $series }}}) - time() < 259200
    for: 10m
    labels: {{- include "sluicegate.alertLabels" (list . "critical") | nindent 6 }}
    annotations:
      summary: {{ printf "A certificate that %s serves ends within three days" $gateway | quote }}
      description: >-
        It ends {{ "{{ $value | humanizeDuration }}" }} from now, and callers are refused by their own libraries then. Renew the Secret that
        proxy.tls names: every proxy takes it within seconds. If it is renewed already, SluicegateFilesNotTaken or the pods' log says why it is not used.
  - alert: SluicegateFilesNotTaken
    expr: sum by (pod, file) {{ include "sluicegate.growth" (list . "sluicegate_file_reload_failures_total" "" "10m") }} > 10
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "A proxy of %s can not use what its Secret holds now" $gateway | quote }}
      description: >-
        {{ "{{ $labels.file }} of {{ $labels.pod }}" }}: what is in use stays, and a pod that starts anew does not start. The pod's log has the reason.
  - alert: SluicegateLogLinesDropped
    expr: sum(rate(sluicegate_log_lines_dropped_total{ {{- $series }}}[5m])) > 0
    for: 15m
    labels: {{- include "sluicegate.alertLabels" (list . "info") | nindent 6 }}
    annotations:
      summary: {{ printf "%s writes fewer log lines than there are" $gateway | quote }}
      description: Standard output is read too slowly, or every call has a line. Lower proxy.settings.logSample.
  - alert: SluicegateSeriesFolded
    expr: sum{{ include "sluicegate.growth" (list . "sluicegate_series_folded_total" "" "1h") }} > 0
    labels: {{- include "sluicegate.alertLabels" (list . "info") | nindent 6 }}
    annotations:
      summary: {{ printf "%s has more label sets than it keeps apart" $gateway | quote }}
      description: Further ones are counted under `other`. Fewer routes, pools or named models make fewer.
  - alert: SluicegateNoLeader
    expr: (sum(sluicegate_operator_is_leader{ {{- $series }}}) or vector(0)) < 1
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "critical") | nindent 6 }}
    annotations:
      summary: {{ printf "No operator of %s leads" $gateway | quote }}
      description: >-
        Proxies serve what they have, and changes of routes, pools and keys do not reach them. Either no operator runs, or it can not
        have its Lease, or it is not scraped. Its log says which.
  - alert: SluicegateWritesFail
    expr: sum by (resource, verb) {{ include "sluicegate.growth" (list . "sluicegate_operator_api_write_failures_total" "" "10m") }} > 2
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "The API server does not take what the operator of %s writes" $gateway | quote }}
      description: >-
        To {{ "{{ $labels.verb }} {{ $labels.resource }}" }} fails. A quota, an admission webhook or a right that was taken away are
        the usual causes; the operator's log has the API server's words.
  - alert: SluicegateObjectsRejected
    expr: max by (kind, state) (sluicegate_operator_objects{ {{- $series }},state=~"kept|refused"}) > 0
    for: 15m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "Routes or pools of %s do not count as they are written" $gateway | quote }}
      description: >-
        {{ "{{ $value }} {{ $labels.kind }} {{ $labels.state }}" }} (kept: the last good form serves; refused: nothing does).
        kubectl get llmroutes,llmconsumers,providerpools -A shows which, their status says why.
  - alert: SluicegateNotReconciling
    expr: max(min_over_time(sluicegate_operator_queued_objects{ {{- $series }}}[10m])) > 0
    for: 5m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "The operator of %s does not come to an end with what changed" $gateway | quote }}
      description: >-
        Objects wait longer than ten minutes. Look at the rate of sluicegate_operator_reconcile_duration_seconds_count and at the operator's log:
        either turns fail, or the API server is slow.
  - alert: SluicegateWatchesBreak
    expr: sum by (resource) {{ include "sluicegate.growth" (list . "sluicegate_operator_watch_restarts_total" "" "15m") }} > 10
    # Longer than the window: an API server that was away once is over by then.
    for: 20m
    labels: {{- include "sluicegate.alertLabels" (list . "warning") | nindent 6 }}
    annotations:
      summary: {{ printf "The operator of %s loses its watches again and again" $gateway | quote }}
      description: >-
        Changes of {{ "{{ $labels.resource }}" }} are seen late. A right that is missing, or an API server that ends connections:
        the operator's log says which.
{{- end -}}

{{- define "sluicegate.alertLabels" -}}
severity: {{ index . 1 }}
{{- with (index . 0).Values.monitoring.prometheusRule.alertLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
