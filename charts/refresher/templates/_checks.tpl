{{/* What values.schema.json cannot say: values that do not fit each other. Each says what to set. */}}

{{- define "refresher.checks" -}}
{{- if eq (toString .Values.enabled) "false" -}}
{{- fail "enabled: only a chart around this one can switch it off, with condition: refresher.enabled among its dependencies" -}}
{{- end -}}
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

{{/* The environment wins over the file, so it must not say what the pod is built by. */}}
{{- define "refresher.checkEnv" -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "REFRESHER_CONFIG" "REFRESHER_ESCROW_DIR" "REFRESHER_HTTP_LISTEN" "REFRESHER_HTTP_SHUTDOWN_TIMEOUT" "REFRESHER_RENEWAL_SHUTDOWN_GRACE") -}}
{{- fail (printf "extraEnv: %s is not for the environment, since the pod is built by it: it is set by the chart, or by config" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails if a path of the Ingress takes in /metrics, or may: what a pattern or another type means, the controller decides. */}}
{{- define "refresher.checkIngressPath" -}}
{{- $path := lower .path -}}
{{- $literal := and (ne .pathType "ImplementationSpecific") (regexMatch "^/([-a-z0-9._~]+/?)*$" $path) -}}
{{- $takesIn := or (hasPrefix $path "/metrics") (hasPrefix "/metrics/" $path) -}}
{{- if eq .pathType "Exact" -}}
{{- $takesIn = eq (trimSuffix "/" $path) "/metrics" -}}
{{- end -}}
{{- if or $takesIn (not $literal) -}}
{{- fail (printf "ingress.hosts: the path %s takes in /metrics, or may, by its pattern or its type %s, and /metrics names your providers and how many credentials you hold; name the paths that are needed, without patterns, as Prefix or Exact, or set ingress.allowMetrics" .path .pathType) -}}
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
