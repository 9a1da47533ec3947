{{/* What things are called, and how they are found. */}}

{{- define "refresher.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: a StatefulSet's pods have a label with its name and a hash. */}}
{{- define "refresher.fullname" -}}
{{- $name := include "refresher.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "refresher.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* Labels by which things of one component (worker, redis, doctor) are found. They never change. */}}
{{- define "refresher.selectorLabels" -}}
app.kubernetes.io/name: {{ include "refresher.name" .context | quote }}
app.kubernetes.io/instance: {{ .context.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a pod: those, and what the user wants on everything. */}}
{{- define "refresher.podLabels" -}}
{{- $own := include "refresher.selectorLabels" . | fromYaml -}}
{{- mustMergeOverwrite dict (.context.Values.commonLabels | default dict) (.labels | default dict) $own | toYaml -}}
{{- end -}}

{{/* Annotations of a pod: the user's, and those of its own. */}}
{{- define "refresher.podAnnotations" -}}
{{- mustMergeOverwrite dict (.context.Values.podAnnotations | default dict) .own | toYaml -}}
{{- end -}}

{{/* Labels of everything else. */}}
{{- define "refresher.labels" -}}
{{- $own := include "refresher.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .context.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .context.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- mustMergeOverwrite dict (.context.Values.commonLabels | default dict) (.labels | default dict) $own | toYaml -}}
{{- end -}}

{{- define "refresher.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "refresher.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The reference of an image: context, image, and the tag if it names none. */}}
{{- define "refresher.image" -}}
{{- $registry := .context.Values.global.imageRegistry | default .image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (not (empty $registry)) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{- define "refresher.imagePullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) (.Values.imagePullSecrets | default list) -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
