{{/* One rule of files/rules.yaml as the values change it; empty if they disable it. */}}
{{- define "refresher.rule" -}}
{{- $rule := deepCopy .rule -}}
{{- $change := get (.values.rules | default dict) (.rule.alert | default .rule.record) | default dict -}}
{{- if ne (toString (dig "enabled" true $change)) "false" -}}
{{- if .rule.alert -}}
{{- $labels := mustMergeOverwrite (dict) (.rule.labels | default dict) (.values.ruleLabels | default dict) -}}
{{- with $change.severity -}}
{{- $_ := set $labels "severity" . -}}
{{- end -}}
{{- $_ := set $rule "labels" $labels -}}
{{- with $change.for -}}
{{- $_ := set $rule "for" . -}}
{{- end -}}
{{- if and .values.runbookUrl (dig "annotations" "runbook_url" "" .rule) -}}
{{- $base := printf "%s/" (trimSuffix "/" .values.runbookUrl) -}}
{{- $_ := set $rule.annotations "runbook_url" (.rule.annotations.runbook_url | replace "docs/runbooks/" $base) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rule -}}
{{- end -}}
{{- end -}}
