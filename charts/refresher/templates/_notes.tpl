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
{{- else if include "refresher.redisUrl" . }}
- Redis is where the URL in the Secret {{ .Values.redis.existingSecret }} says (key {{ .Values.redis.secretKeys.url }}).
{{- else if .Values.redis.addresses }}
- Redis is expected at {{ join ", " .Values.redis.addresses }} ({{ .Values.redis.mode }}, {{ include "refresher.redisPasswordFrom" . }}).
{{- else if include "refresher.redisVariable" . }}
- Redis is where {{ include "refresher.redisVariable" . }} in extraEnv says.
{{- else }}
- There is no Redis in redis.*: without any the queue is in memory, and this must stay the only replica.
{{- end }}
{{- if include "refresher.redisPortIsGuessed" . }}
- The NetworkPolicy lets port 6379 through to Redis, since where that is does not stand in the values. If it is another port:
  networkPolicy.egress.redis.ports.
{{- end }}
{{- if and (eq .Values.vault.auth.method "kubernetes") (not (hasPrefix "refresher" .Values.vault.auth.kubernetes.role)) }}
- The role {{ .Values.vault.auth.kubernetes.role }} does not begin with refresher, so deploy/vault/administrator.hcl does not permit to make it.
{{- end }}
{{- if hasPrefix "http://" .Values.vault.address }}
- WARNING: {{ .Values.vault.address }} is plain http: tokens and every secret cross the network in the clear.
{{- end }}
{{- if .Values.persistence.enabled }}
- The spools' volumes stay when pods are scaled away and when the release is uninstalled, since they may hold what nobody
  else has. docs/install.md says when one can be deleted.
{{- else }}
{{- if .Release.IsUpgrade }}
- WARNING: Volumes that the pods had before (spool-{{ include "refresher.fullname" . }}-0 and so on), if they had any, stay behind with what
  they hold, and nobody works on it: "Spools that nobody works on" in docs/install.md.
{{- end }}
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
{{- else if not .Values.prometheusRule.runbookUrl }}
- The alerts' runbook_url is no URL but a path such as docs/runbooks/RefresherAbsent.md: publish that folder, and set
  prometheusRule.runbookUrl.
{{- end }}
{{- include "refresher.labelNotices" . }}
{{- end -}}

{{- define "refresher.redisPasswordFrom" -}}
{{- if and .Values.redis.existingSecret .Values.redis.secretKeys.password -}}
with the password in the Secret {{ .Values.redis.existingSecret }}
{{- else -}}
without a password
{{- end -}}
{{- end -}}

{{/* Not empty if the NetworkPolicy has a port for Redis that nobody named. */}}
{{- define "refresher.redisPortIsGuessed" -}}
{{- $unnamed := or (include "refresher.redisUrl" .) (include "refresher.redisVariable" .) (eq .Values.redis.mode "sentinel") -}}
{{- if and .Values.networkPolicy.enabled $unnamed (not .Values.redis.dev.enabled) (not .Values.networkPolicy.egress.redis.ports) -}}yes{{- end -}}
{{- end -}}

{{/* The Prometheus operator and Grafana's sidecar may pass over what does not have their label. */}}
{{- define "refresher.labelNotices" -}}
{{- range $key := list "serviceMonitor" "podMonitor" "prometheusRule" }}
{{- $values := index $.Values $key }}
{{- if and $values.enabled (not $values.labels) }}
- The Prometheus operator may select by label, as that of kube-prometheus-stack does by its release. If yours does:
  {{ $key }}.labels.release=kube-prometheus-stack
{{- end }}
{{- end }}
{{- if and .Values.grafanaDashboard.enabled (not .Values.grafanaDashboard.labels) }}
- Grafana's sidecar selects dashboards by label, and this one has none: grafanaDashboard.labels.
{{- end }}
{{- end -}}
