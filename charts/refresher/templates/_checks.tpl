{{/* What values.schema.json cannot say: values that do not fit each other. Each says what to set. */}}

{{- define "refresher.checks" -}}
{{- if not .Values.vault.address -}}
{{- fail "vault.address: set it to the URL of your Vault, such as https://vault.vault.svc:8200" -}}
{{- end -}}
{{- include "refresher.checkLogin" . -}}
{{- include "refresher.checkRedis" . -}}
{{- include "refresher.checkEnv" . -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: choose one of them, or every replica is counted twice" -}}
{{- end -}}
{{- end -}}

{{- define "refresher.checkLogin" -}}
{{- if and (eq .Values.vault.auth.method "approle") (not .Values.vault.auth.approle.existingSecret) -}}
{{- fail "vault.auth.approle.existingSecret: set it to the Secret with the secret ID, since vault.auth.method is approle" -}}
{{- end -}}
{{- if and (eq .Values.vault.auth.method "token") (not .Values.vault.auth.token.existingSecret) -}}
{{- fail "vault.auth.token.existingSecret: set it to the Secret with the token, since vault.auth.method is token" -}}
{{- end -}}
{{- end -}}

{{/* Several replicas that share nothing would renew everything at once. */}}
{{- define "refresher.checkRedis" -}}
{{- $given := or .Values.redis.dev.enabled .Values.redis.addresses (include "refresher.redisUrl" .) -}}
{{- range .Values.extraEnv -}}
{{- $given = or $given (has .name (list "REFRESHER_REDIS_URL" "REDIS_URL" "REFRESHER_REDIS_ADDRESSES")) -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not $given) -}}
{{- fail (printf "replicaCount: there are %d replicas and no Redis to share the work through. Set redis.addresses, or redis.existingSecret with redis.secretKeys.url, or for a trial redis.dev.enabled; or set replicaCount to 1, which keeps the queue in memory" (int .Values.replicaCount)) -}}
{{- end -}}
{{- end -}}

{{/* The environment wins over the file, so it must not say what the pod is built by. */}}
{{- define "refresher.checkEnv" -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "REFRESHER_CONFIG" "REFRESHER_ESCROW_DIR" "REFRESHER_HTTP_LISTEN" "REFRESHER_HTTP_SHUTDOWN_TIMEOUT" "REFRESHER_RENEWAL_SHUTDOWN_GRACE") -}}
{{- fail (printf "extraEnv: %s is not for the environment, since the pod is built by it: it is set by the chart, or by config" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Seconds of a duration of the service's, such as 90s, 1h30m or 2d; of a part of a second, nothing. */}}
{{- define "refresher.seconds" -}}
{{- $days := regexFind "^[0-9]+d" .value | trimSuffix "d" | default "0" -}}
{{- $rest := regexReplaceAll "^[0-9]+d" .value "" | default "0s" -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$" $rest) -}}
{{- fail (printf "%s: %q is no duration such as 150s or 1h30m" .path .value) -}}
{{- end -}}
{{- $epoch := toDate "2006-01-02" "1970-01-02" -}}
{{- $end := mustDateModify (printf "+%s" $rest) $epoch -}}
{{- add (mul (int64 $days) 86400) (sub ($end | unixEpoch | int64) ($epoch | unixEpoch | int64)) -}}
{{- end -}}

{{/* A stop waits for what was sent, then for requests. Killed before that, the answer to a rotation could be lost. */}}
{{- define "refresher.terminationGracePeriodSeconds" -}}
{{- $grace := include "refresher.setting" (dict "config" .Values.config "path" "renewal.shutdown_grace") | default "150s" -}}
{{- $timeout := include "refresher.setting" (dict "config" .Values.config "path" "http.shutdown_timeout") | default "10s" -}}
{{- $stop := add (include "refresher.seconds" (dict "path" "config.renewal.shutdown_grace" "value" $grace) | int64)
      (include "refresher.seconds" (dict "path" "config.http.shutdown_timeout" "value" $timeout) | int64) -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- add $stop 20 -}}
{{- else if lt (int64 $given) $stop -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than the %d s that a stop may take (renewal.shutdown_grace %s and http.shutdown_timeout %s), and the answer to a rotation could be lost; raise it, or leave it out" (int64 $given) $stop $grace $timeout) -}}
{{- else -}}
{{- int64 $given -}}
{{- end -}}
{{- end -}}
