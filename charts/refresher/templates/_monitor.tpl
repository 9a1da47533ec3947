{{/* What a ServiceMonitor and a PodMonitor have in common. */}}

{{/* Labels of an object for an operator or a sidecar: the user's, by which it is found, and ours. */}}
{{- define "refresher.monitorMetadata" -}}
name: {{ include "refresher.fullname" .context }}{{ .suffix }}
namespace: {{ .values.namespace | default (include "refresher.namespace" .context) }}
labels:
  {{- include "refresher.labels" (dict "context" .context "component" "monitoring" "labels" .values.labels) | nindent 2 }}
{{- end -}}

{{/* The alert rules know the service as job="refresher", whatever the release is called. */}}
{{- define "refresher.endpoint" -}}
- port: http
  path: /metrics
  interval: {{ .interval }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  relabelings:
    - targetLabel: job
      replacement: refresher
    {{- with .relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
