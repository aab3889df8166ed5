{{- define "stream-ml.pod-security" -}}
automountServiceAccountToken: false
# Its variables would be taken for settings where a Service is called stream-ml-….
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "stream-ml.container-security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end -}}

{{- define "stream-ml.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "stream-ml.environment" -}}
env:
  # Whatever wants to keep something for itself (matplotlib, Numba) may do so for the life of the pod.
  - { name: HOME, value: /tmp }
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.snapshots.existingSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
{{- end -}}

{{/* What the service .name mounts. */}}
{{- define "stream-ml.mounts" -}}
{{- $learns := or (eq .name "learner") (eq .name "retrainer") -}}
- { name: settings-{{ .name | replace "_" "-" }}, mountPath: /etc/stream-ml/{{ .name }}, readOnly: true }
{{- if eq .name "retrainer" }}
- { name: settings-learner, mountPath: /etc/stream-ml/learner, readOnly: true }
- { name: kept, mountPath: /var/lib/stream-ml/retrainer }
{{- end }}
{{- if $learns }}
- { name: model, mountPath: /etc/stream-ml/model, readOnly: true }
{{- end }}
{{- if .root.Values.kafka.existingSecret }}
- { name: kafka, mountPath: /etc/stream-ml/kafka, readOnly: true }
{{- end }}
{{- if and $learns .root.Values.redis.existingSecret }}
- { name: redis, mountPath: /etc/stream-ml/redis, readOnly: true }
{{- end }}
{{- if and (ne .name "drift_monitor") (include "stream-ml.snapshots-claim" .root) }}
- { name: snapshots, mountPath: {{ .root.Values.settings.snapshot_store }} }
{{- end }}
- { name: tmp, mountPath: /tmp }
{{- end -}}

{{- define "stream-ml.volumes" -}}
{{- $learns := or (eq .name "learner") (eq .name "retrainer") -}}
{{- include "stream-ml.settings-volume" . }}
{{- if eq .name "retrainer" }}
{{ include "stream-ml.settings-volume" (dict "root" .root "name" "learner") }}
- name: kept
{{- with include "stream-ml.retrainer-claim" .root }}
  persistentVolumeClaim: { claimName: {{ . }} }
{{- else }}
  emptyDir: { sizeLimit: {{ .root.Values.retrainer.storage.sizeLimit }} }
{{- end }}
{{- end }}
{{- if $learns }}
- name: model
  configMap: { name: {{ .root.Values.model.existingConfigMap | default (printf "%s-model" (include "stream-ml.fullname" .root)) }} }
{{- end }}
{{- with .root.Values.kafka.existingSecret }}
- name: kafka
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- if and $learns .root.Values.redis.existingSecret }}
- name: redis
  secret: { secretName: {{ .root.Values.redis.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- if ne .name "drift_monitor" }}
{{- with include "stream-ml.snapshots-claim" .root }}
- name: snapshots
  persistentVolumeClaim: { claimName: {{ . }} }
{{- end }}
{{- end }}
- name: tmp
  emptyDir: { sizeLimit: 1Gi }
{{- end -}}

{{/* Liveness asks the process alone, never Kafka or Redis; at its start a process may wait for brokers until it ends by itself. */}}
{{- define "stream-ml.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* The pod template of the service .name. */}}
{{- define "stream-ml.pod" -}}
{{- $service := index .root.Values .name -}}
{{- $file := mustMergeOverwrite (deepCopy .root.Values.settings) (deepCopy $service.settings) -}}
metadata:
  labels:
    {{- include "stream-ml.labels" . | nindent 4 }}
  annotations:
    {{- include "stream-ml.checksums" . | nindent 4 }}
    {{- with $service.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "stream-ml.name" . }}
  {{- include "stream-ml.pod-security" .root | nindent 2 }}
  {{- if eq .name "predictor" }}
  # Calls in flight may take `drain_timeout_seconds`; a margin for what is closed after them.
  terminationGracePeriodSeconds: {{ add $service.preStopSeconds (ceil ($file.drain_timeout_seconds | default 10)) 15 }}
  {{- else }}
  terminationGracePeriodSeconds: {{ $service.terminationGracePeriodSeconds }}
  {{- end }}
  {{- include "stream-ml.placement" $service | nindent 2 }}
  {{- with $service.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - topologyKey: {{ .topologyKey }}
      whenUnsatisfiable: {{ .whenUnsatisfiable }}
      maxSkew: {{ .maxSkew }}
      # Else a node that takes none of these pods (a GPU's, a control plane's, one that is drained) counts as one with none, and the
      # others may have only as many as `maxSkew` each.
      nodeTaintsPolicy: Honor
      labelSelector:
        matchLabels:
          {{- include "stream-ml.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .name | replace "_" "-" }}
      image: {{ include "stream-ml.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [-m, services.{{ .name }}, --settings, /etc/stream-ml/{{ .name }}/settings.toml]
      {{- include "stream-ml.environment" (dict "root" .root "env" $service.env) | nindent 6 }}
      ports:
        - { name: http, containerPort: {{ $file.http_port }} }
        {{- if eq .name "predictor" }}
        - { name: thrift, containerPort: {{ $file.thrift_port }} }
        {{- end }}
      {{- include "stream-ml.probes" . | nindent 6 }}
      {{- if eq .name "predictor" }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ $service.preStopSeconds }} }
      {{- end }}
      resources: {{ toJson $service.resources }}
      {{- include "stream-ml.container-security" . | nindent 6 }}
      volumeMounts:
        {{- include "stream-ml.mounts" . | nindent 8 }}
  volumes:
    {{- include "stream-ml.volumes" . | nindent 4 }}
{{- end -}}
