{{/* What a ServiceMonitor and a PodMonitor have in common. */}}

{{/* Labels of an object for an operator or a sidecar: the user's, by which it is found, and ours. */}}
{{- define "refresher.monitorMetadata" -}}
name: {{ printf "%s%s" (include "refresher.fullname" .context) .suffix | quote }}
namespace: {{ .values.namespace | default (include "refresher.namespace" .context) | quote }}
labels:
  {{- include "refresher.labels" (dict "context" .context "component" "monitoring" "labels" .values.labels) | nindent 2 }}
{{- end -}}

{{/* The alert rules know the service as job="refresher", whatever the release is called. */}}
{{- define "refresher.endpoint" -}}
- port: http
  path: /metrics
  {{- with .interval }}
  interval: {{ . | quote }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . | quote }}
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
