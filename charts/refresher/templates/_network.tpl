{{/* Ports, for the NetworkPolicy. */}}

{{- define "refresher.tcpPorts" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (dict "port" (int .) "protocol" "TCP") -}}
{{- end -}}
{{- toYaml $ports -}}
{{- end -}}

{{/* The port of vault.address. */}}
{{- define "refresher.vaultPort" -}}
{{- $url := urlParse .Values.vault.address -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{/* A list of the ports of redis.addresses. Sentinels name a Redis, and a Secret or the environment may: for these, Redis's own port. */}}
{{- define "refresher.redisPorts" -}}
{{- $ports := list -}}
{{- if or (include "refresher.redisUrl" .) (include "refresher.redisVariable" .) -}}
{{- $ports = list "6379" -}}
{{- else -}}
{{- range .Values.redis.addresses -}}
{{- $ports = append $ports (regexFind "[0-9]+$" .) -}}
{{- end -}}
{{- if eq .Values.redis.mode "sentinel" -}}
{{- $ports = append $ports "6379" -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | toYaml -}}
{{- end -}}
