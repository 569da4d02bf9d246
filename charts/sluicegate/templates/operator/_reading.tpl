{{/* What the operator needs of a namespace whose resources it serves. */}}
{{- define "sluicegate.reading" -}}
- apiGroups: [sluicegate.dev]
  resources: [llmconsumers, llmroutes, providerpools]
  verbs: [get, list, watch]
- apiGroups: [sluicegate.dev]
  resources: [llmconsumers/status, llmroutes/status, providerpools/status]
  verbs: [patch]
# Keys of providers and of consumers. Watched by metadata; the value is fetched of those that resources name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- if .Values.operator.generateKeys }}
# Keys that consumers ask to be made. What is created has no name yet, and what is patched has one that its consumer chose.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
{{- end }}
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
