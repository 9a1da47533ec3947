{{/* What the pods of the service and of its Helm test have in common. */}}

{{- define "refresher.env" -}}
- name: REFRESHER_CONFIG
  value: /etc/refresher/config.yaml
{{- if and (eq .Values.vault.auth.method "approle") (not .Values.vault.auth.approle.roleId) }}
{{ include "refresher.secretEnv" (dict "name" "REFRESHER_VAULT_AUTH_APPROLE_ROLE_ID" "secret" .Values.vault.auth.approle.existingSecret "key" .Values.vault.auth.approle.roleIdKey) }}
{{- end }}
{{- if include "refresher.redisUrl" . }}
{{ include "refresher.secretEnv" (dict "name" "REFRESHER_REDIS_URL" "secret" .Values.redis.existingSecret "key" .Values.redis.secretKeys.url) }}
{{- else if and .Values.redis.existingSecret (not .Values.redis.dev.enabled) }}
{{- with .Values.redis.secretKeys.password }}
{{ include "refresher.secretEnv" (dict "name" "REFRESHER_REDIS_PASSWORD" "secret" $.Values.redis.existingSecret "key" .) }}
{{- end }}
{{- with .Values.redis.secretKeys.sentinelPassword }}
{{ include "refresher.secretEnv" (dict "name" "REFRESHER_REDIS_SENTINEL_PASSWORD" "secret" $.Values.redis.existingSecret "key" .) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "refresher.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
{{- end -}}

{{- define "refresher.volumeMounts" -}}
- name: config
  mountPath: /etc/refresher
  readOnly: true
- name: spool
  mountPath: {{ include "refresher.spoolMount" . }}
{{- if ne .Values.vault.auth.method "custom" }}
- name: vault-login
  mountPath: {{ include "refresher.secretMount" . }}/vault-login
  readOnly: true
{{- end }}
{{- if .Values.vault.caSecret.name }}
- name: vault-ca
  mountPath: {{ include "refresher.secretMount" . }}/vault-ca
  readOnly: true
{{- end }}
{{- if include "refresher.redisCa" . }}
- name: redis-ca
  mountPath: {{ include "refresher.secretMount" . }}/redis-ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All volumes but the spool, which is a claim in one pod and a folder of the node in another. */}}
{{- define "refresher.volumes" -}}
- name: config
  configMap:
    name: {{ include "refresher.fullname" . | quote }}
{{- if eq .Values.vault.auth.method "kubernetes" }}
- name: vault-login
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          audience: {{ .Values.vault.auth.kubernetes.audience | quote }}
          expirationSeconds: {{ int64 .Values.vault.auth.kubernetes.expirationSeconds }}
          path: token
{{- else if eq .Values.vault.auth.method "approle" }}
{{ include "refresher.secretVolume" (dict "name" "vault-login" "secret" .Values.vault.auth.approle.existingSecret "key" .Values.vault.auth.approle.secretIdKey "path" "secret_id") }}
{{- else if eq .Values.vault.auth.method "token" }}
{{ include "refresher.secretVolume" (dict "name" "vault-login" "secret" .Values.vault.auth.token.existingSecret "key" .Values.vault.auth.token.key "path" "token") }}
{{- end }}
{{- if .Values.vault.caSecret.name }}
{{ include "refresher.secretVolume" (dict "name" "vault-ca" "secret" .Values.vault.caSecret.name "key" .Values.vault.caSecret.key "path" "ca.crt") }}
{{- end }}
{{- if include "refresher.redisCa" . }}
{{ include "refresher.secretVolume" (dict "name" "redis-ca" "secret" .Values.redis.tls.caSecret.name "key" .Values.redis.tls.caSecret.key "path" "ca.crt") }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "refresher.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .key | quote }}
        path: {{ .path }}
{{- end -}}

{{/* Where a pod runs and what it sees of the network, for the service and its test. */}}
{{- define "refresher.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
dnsPolicy: {{ .Values.dnsPolicy }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
