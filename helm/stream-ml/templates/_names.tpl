{{/* The release's own name, below which everything is named. */}}
{{- define "stream-ml.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of the service .name: its folder's word, as a name of Kubernetes may be. */}}
{{- define "stream-ml.name" -}}
{{- printf "%s-%s" (include "stream-ml.fullname" .root) (.name | replace "_" "-") -}}
{{- end -}}

{{- define "stream-ml.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "stream-ml.labels" -}}
{{ include "stream-ml.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Of an object that is the whole release's. */}}
{{- define "stream-ml.labels-of-all" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "stream-ml.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The variant with CUDA of the same release: where the other one is, with a suffix. */}}
{{- define "stream-ml.gpu-image" -}}
{{- with .Values.retrainer.gpu.image -}}
{{ .repository | default $.Values.image.repository }}:{{ .tag | default (printf "%s-cuda" ($.Values.image.tag | default $.Chart.AppVersion)) }}
{{- end -}}
{{- end -}}

{{- define "stream-ml.uses-redis" -}}
{{- if ne (.Values.learner.settings.weights | default "memory") "memory" -}}yes{{- end -}}
{{- end -}}

{{/* The claim of the folder of snapshots; empty where they are elsewhere. */}}
{{- define "stream-ml.snapshots-claim" -}}
{{- with .Values.snapshots.claim -}}
{{- if contains "://" $.Values.settings.snapshot_store -}}
{{- else if .existing -}}{{ .existing }}{{- else if .create -}}{{ include "stream-ml.fullname" $ }}-snapshots{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stream-ml.retrainer-claim" -}}
{{- with .Values.retrainer.storage.claim -}}
{{- if .existing -}}{{ .existing }}{{- else if .create -}}{{ include "stream-ml.fullname" $ }}-retrainer{{- end -}}
{{- end -}}
{{- end -}}
