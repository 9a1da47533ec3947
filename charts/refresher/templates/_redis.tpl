{{/* Redis: where it is, and values that do not fit each other, as the service itself would refuse them when it starts. */}}

{{/* Not empty if Redis's URL comes from a Secret. */}}
{{- define "refresher.redisUrl" -}}
{{- if and .Values.redis.existingSecret .Values.redis.secretKeys.url (not .Values.redis.dev.enabled) -}}yes{{- end -}}
{{- end -}}

{{/* The variable in extraEnv that says where Redis is; empty if none does. */}}
{{- define "refresher.redisVariable" -}}
{{- $found := "" -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "REFRESHER_REDIS_URL" "REDIS_URL" "REFRESHER_REDIS_ADDRESSES") -}}
{{- $found = .name -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* Not empty if Redis's certificate is held against a CA from a Secret. */}}
{{- define "refresher.redisCa" -}}
{{- if and .Values.redis.tls.caSecret.name (not .Values.redis.dev.enabled) -}}yes{{- end -}}
{{- end -}}

{{- define "refresher.redisConfig" -}}
mode: {{ .Values.redis.mode }}
addresses: {{ ternary list (.Values.redis.addresses | default list) (ne (include "refresher.redisUrl" .) "") | toJson }}
{{- with .Values.redis.masterName }}
master_name: {{ . | quote }}
{{- end }}
{{- with .Values.redis.username }}
username: {{ . | quote }}
{{- end }}
{{- with .Values.redis.sentinelUsername }}
sentinel_username: {{ . | quote }}
{{- end }}
{{- with .Values.redis.db }}
db: {{ . }}
{{- end }}
{{- if .Values.redis.tls.enabled }}
tls:
  enabled: true
  {{- with .Values.redis.tls.serverName }}
  server_name: {{ . | quote }}
  {{- end }}
  {{- if include "refresher.redisCa" . }}
  ca_cert: {{ include "refresher.secretMount" . }}/redis-ca/ca.crt
  {{- end }}
{{- end }}
{{- end -}}

{{- define "refresher.checkRedis" -}}
{{- $variable := include "refresher.redisVariable" . -}}
{{- if and .Values.redis.dev.enabled $variable -}}
{{- fail (printf "redis.dev.enabled: extraEnv has %s too; keep one of them" $variable) -}}
{{- end -}}
{{- if not .Values.redis.dev.enabled -}}
{{- include "refresher.checkRedisPlace" . -}}
{{- include "refresher.checkRedisMode" . -}}
{{- include "refresher.checkRedisUrl" . -}}
{{- if and (not .Values.redis.tls.enabled) (or .Values.redis.tls.caSecret.name .Values.redis.tls.serverName) -}}
{{- fail "redis.tls.enabled: set it to true, since redis.tls.caSecret.name and redis.tls.serverName are of no use without it, with a rediss:// URL too" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One place says where Redis is. Several replicas that share nothing would renew everything at once. */}}
{{- define "refresher.checkRedisPlace" -}}
{{- $variable := include "refresher.redisVariable" . -}}
{{- if and .Values.redis.secretKeys.url (not .Values.redis.existingSecret) -}}
{{- fail "redis.existingSecret: set it to the Secret with the URL, since redis.secretKeys.url is set" -}}
{{- end -}}
{{- if and $variable (include "refresher.redisUrl" .) -}}
{{- fail (printf "redis.secretKeys.url: extraEnv has %s too; keep one of them" $variable) -}}
{{- end -}}
{{- if and $variable .Values.redis.addresses -}}
{{- fail (printf "redis.addresses: extraEnv has %s too; keep one of them. By default redis.addresses has one: set it to []" $variable) -}}
{{- end -}}
{{- if not (or .Values.redis.addresses (include "refresher.redisUrl" .) $variable) -}}
{{- if ne .Values.redis.mode "standalone" -}}
{{- fail (printf "redis.addresses: set it, since redis.mode is %s" .Values.redis.mode) -}}
{{- end -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount: there are %d replicas and no Redis to share the work through. Set redis.addresses, or redis.existingSecret with redis.secretKeys.url, or for a trial redis.dev.enabled; or set replicaCount to 1, which keeps the queue in memory" (int .Values.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "refresher.checkRedisMode" -}}
{{- $redis := .Values.redis -}}
{{- if eq $redis.mode "sentinel" -}}
{{- if not $redis.masterName -}}
{{- fail "redis.masterName: set it to the name by which the Sentinels know the master, since redis.mode is sentinel" -}}
{{- end -}}
{{- else -}}
{{- range $key, $value := dict "masterName" $redis.masterName "sentinelUsername" $redis.sentinelUsername "secretKeys.sentinelPassword" $redis.secretKeys.sentinelPassword -}}
{{- if $value -}}
{{- fail (printf "redis.%s: is for Sentinel, and redis.mode is %s; set that to sentinel, or leave this empty" $key $redis.mode) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $redis.mode "cluster") $redis.db -}}
{{- fail "redis.db: a cluster has only 0" -}}
{{- end -}}
{{- end -}}

{{/* A URL names a single Redis, its user and its database; so does a single address. */}}
{{- define "refresher.checkRedisUrl" -}}
{{- $redis := .Values.redis -}}
{{- $fromSecret := include "refresher.redisUrl" . -}}
{{- if or $fromSecret (hasSuffix "_URL" (include "refresher.redisVariable" .)) -}}
{{- if ne $redis.mode "standalone" -}}
{{- fail (printf "redis.mode: a URL is for a standalone Redis, and this is %s; set redis.addresses in its place, and redis.secretKeys.password" $redis.mode) -}}
{{- end -}}
{{- if $redis.db -}}
{{- fail "redis.db: the URL says this; put the number at its end" -}}
{{- end -}}
{{- if and $fromSecret $redis.username -}}
{{- fail "redis.username: the URL says this; put the user there, with the password" -}}
{{- end -}}
{{- else if and (eq $redis.mode "standalone") (gt (len ($redis.addresses | default list)) 1) -}}
{{- fail (printf "redis.addresses: there are %d, and redis.mode is standalone; set that to sentinel or cluster, or keep one address" (len $redis.addresses)) -}}
{{- end -}}
{{- end -}}
