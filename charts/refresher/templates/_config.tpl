{{/* What the service is told: its configuration file, and what is wrong with the values. */}}

{{/* Where the volumes of the pod are mounted. */}}
{{- define "refresher.spoolMount" -}}/var/lib/refresher{{- end -}}
{{- define "refresher.secretMount" -}}/var/run/secrets/refresher{{- end -}}

{{/* The part of the configuration that the chart's own values say. */}}
{{- define "refresher.ownConfig" -}}
http:
  listen: ":8080"
# A folder below the volume's root, which the service makes for itself alone: the
# root belongs to the pod's group, and on some file systems holds lost+found.
escrow:
  dir: {{ include "refresher.spoolMount" . }}/spool
vault:
  address: {{ .Values.vault.address | quote }}
  {{- with .Values.vault.namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  {{- if .Values.vault.caSecret.name }}
  ca_cert: {{ include "refresher.secretMount" . }}/vault-ca/ca.crt
  {{- end }}
  {{- if eq .Values.vault.auth.method "kubernetes" }}
  auth:
    method: kubernetes
    kubernetes:
      mount: {{ .Values.vault.auth.kubernetes.mount | quote }}
      role: {{ .Values.vault.auth.kubernetes.role | quote }}
      token_path: {{ include "refresher.secretMount" . }}/vault-login/token
  {{- else if eq .Values.vault.auth.method "approle" }}
  auth:
    method: approle
    approle:
      mount: {{ .Values.vault.auth.approle.mount | quote }}
      {{- with .Values.vault.auth.approle.roleId }}
      role_id: {{ . | quote }}
      {{- end }}
      secret_id_file: {{ include "refresher.secretMount" . }}/vault-login/secret_id
  {{- else if eq .Values.vault.auth.method "token" }}
  token_file: {{ include "refresher.secretMount" . }}/vault-login/token
  auth:
    method: token_file
  {{- end }}
{{- if .Values.redis.dev.enabled }}
redis:
  addresses: ["{{ include "refresher.fullname" . }}-redis:6379"]
{{- else }}
redis:
  {{- include "refresher.redisConfig" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The whole configuration file. */}}
{{- define "refresher.config" -}}
{{- $own := include "refresher.ownConfig" . | fromYaml -}}
{{- include "refresher.refuseOwn" (dict "path" "config" "own" $own "config" .Values.config) -}}
{{- include "refresher.refuseSecrets" . -}}
{{- mustMergeOverwrite (deepCopy (.Values.config | default dict)) $own | toYaml -}}
{{- end -}}

{{/* Fails if "config" sets what other values set: one of the two would be ignored. */}}
{{- define "refresher.refuseOwn" -}}
{{- $theirs := .config -}}
{{- $path := .path -}}
{{- range $key, $own := .own -}}
{{- if and (kindIs "map" $theirs) (hasKey $theirs $key) -}}
{{- $value := get $theirs $key -}}
{{- $here := printf "%s.%s" $path $key -}}
{{- if and (kindIs "map" $own) (kindIs "map" $value) -}}
{{- include "refresher.refuseOwn" (dict "path" $here "own" $own "config" $value) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- fail (printf "%s: the chart sets this itself; take it out of config (vault, redis and persistence have values of their own)" $here) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails if "config" holds a secret: a ConfigMap is no place for one. */}}
{{- define "refresher.refuseSecrets" -}}
{{- $config := .Values.config -}}
{{- range $path, $instead := dict
      "vault.token" "vault.auth.token.existingSecret"
      "vault.auth.approle.secret_id" "vault.auth.approle.existingSecret"
      "redis.url" "redis.addresses, or redis.existingSecret with redis.secretKeys.url"
      "redis.password" "redis.existingSecret with redis.secretKeys.password"
      "redis.sentinel_password" "redis.existingSecret with redis.secretKeys.sentinelPassword"
      "egress.proxy" "extraEnv with REFRESHER_EGRESS_PROXY, from a Secret if it has a password" -}}
{{- if include "refresher.setting" (dict "config" $config "path" $path) -}}
{{- fail (printf "config.%s: is or may hold a secret, and a ConfigMap is no place for one; use %s" $path $instead) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One key of a configuration, by its path; empty if it is not set. */}}
{{- define "refresher.setting" -}}
{{- $at := .config -}}
{{- range splitList "." .path -}}
{{- $at = ternary (get (ternary $at dict (kindIs "map" $at)) .) "" (kindIs "map" $at) -}}
{{- end -}}
{{- if not (kindIs "invalid" $at) -}}{{- $at -}}{{- end -}}
{{- end -}}
