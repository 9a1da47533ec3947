{{/* What Helm says after an install. It is here for the tests, to which Helm does not show NOTES.txt. */}}

{{- define "refresher.notes" -}}
{{- $pod := printf "%s-0" (include "refresher.fullname" .) -}}
{{- $namespace := include "refresher.namespace" . -}}
Refresher {{ .Chart.AppVersion }} is {{ include "refresher.fullname" . }} in the namespace {{ $namespace }}. It becomes ready when Vault lets it in.

{{ if ne .Values.vault.auth.method "custom" -}}
Set Vault up, once, from where you can reach it with an administrator's token (--print shows what it does):

  export VAULT_ADDR={{ .Values.vault.address }}{{ with .Values.vault.namespace }} VAULT_NAMESPACE={{ . }}{{ end }}
  {{ include "refresher.setupCommand" . | nindent 2 | trim }}

{{ end -}}
Ask whether all is well. Each line is ok, or says what to do:
{{ if .Values.tests.doctor.enabled }}
  helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }} --logs
{{- end }}
  kubectl exec --namespace {{ $namespace }} {{ $pod }} -- /refresher doctor

See every tenant's credentials, with a Vault token of your own that may read them:

  refresher credentials list

What you should know:
{{- include "refresher.notices" . | trim | nindent 0 }}
{{- end -}}

{{- define "refresher.setupCommand" -}}
refresher vault setup
{{- if eq .Values.vault.auth.method "kubernetes" }} --auth kubernetes
{{- with .Values.vault.auth.kubernetes }}
{{- if ne .role "refresher" }} --name {{ .role }}{{ end }}
{{- if ne .audience "vault" }} --kubernetes-audience {{ .audience }}{{ end }}
{{- if ne .mount "kubernetes" }} --set vault.auth.kubernetes.mount={{ .mount }}{{ end }}
{{- end }} \
  --kubernetes-namespace {{ include "refresher.namespace" . }} --kubernetes-service-account {{ include "refresher.serviceAccountName" . }}
{{- else if eq .Values.vault.auth.method "approle" }} --auth approle --secret-id-file secret_id
{{- if ne .Values.vault.auth.approle.mount "approle" }} --set vault.auth.approle.mount={{ .Values.vault.auth.approle.mount }}{{ end }}
{{- end }}
{{- range $key := list "vault.mount" "vault.prefix" }}
{{- with include "refresher.setting" (dict "config" $.Values.config "path" $key) }} \
  --set {{ $key }}={{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "refresher.notices" -}}
{{- if .Values.redis.dev.enabled }}
- WARNING: redis.dev.enabled is a throw-away Redis, for a trial. It has no password and is empty after its pod was
  replaced. Tenants' credentials need one that keeps what is written (redis.addresses).
{{- else if .Values.redis.existingSecret }}
- Redis is {{ .Values.redis.mode }}, as the Secret {{ .Values.redis.existingSecret }} says.
{{- else if .Values.redis.addresses }}
- Redis is expected at {{ join ", " .Values.redis.addresses }} ({{ .Values.redis.mode }}, without a password).
{{- else }}
- There is no Redis in redis.*: without any the queue is in memory, and this must stay the only replica.
{{- end }}
{{- if hasPrefix "http://" .Values.vault.address }}
- WARNING: {{ .Values.vault.address }} is plain http: tokens and every secret cross the network in the clear.
{{- end }}
{{- if .Values.persistence.enabled }}
- The spools' volumes stay when pods are scaled away and when the release is uninstalled, since they may hold what nobody
  else has. docs/install.md says when one can be deleted.
{{- else }}
- WARNING: persistence.enabled is false, so a spool goes when its pod goes. What a provider answered while Vault could not
  be written is then in Redis alone; if Redis loses it too, the tenant must authorize again.
{{- end }}
{{- if not (or .Values.image.registry .Values.global.imageRegistry (contains "/" .Values.image.repository)) }}
- There is no public image: push your own (make image), and set image.registry and image.repository.
{{- end }}
{{- if not (or .Values.serviceMonitor.enabled .Values.podMonitor.enabled) }}
- Nothing scrapes {{ include "refresher.fullname" . }}.{{ include "refresher.namespace" . }}.svc:{{ .Values.service.port }}/metrics unless you see to it: serviceMonitor.enabled or podMonitor.enabled.
{{- end }}
{{- if not .Values.prometheusRule.enabled }}
- No alerts are installed: without them nobody learns that a tenant is cut off. prometheusRule.enabled.
{{- end }}
{{- end -}}
