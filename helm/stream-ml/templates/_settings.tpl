{{/* A table as TOML: JSON's strings, numbers, booleans and lists are TOML's too. */}}
{{- define "stream-ml.toml" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $table := . }}
{{- if kindIs "map" $table }}

[{{ $key }}]
{{- range $name, $value := $table }}
{{ toJson $name }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{/* The settings of the service .name: what all have, the Secrets that are named, its own. */}}
{{- define "stream-ml.settings" -}}
{{- $values := .root.Values -}}
{{- $all := deepCopy $values.settings -}}
{{- if $values.kafka.existingSecret }}{{ $_ := set $all "kafka_file" "/etc/stream-ml/kafka/client.properties" }}{{ end -}}
{{- if and $values.redis.existingSecret (eq .name "learner") -}}
{{- $_ := set $all "redis_password_file" "/etc/stream-ml/redis/password" -}}
{{- end -}}
{{- if and (eq .name "retrainer") $values.retrainer.gpu.enabled }}{{ $_ := set $all "takes_jobs" false }}{{ end -}}
{{- $all = mustMergeOverwrite $all (deepCopy (index $values .name).settings) -}}
{{- if (index $values .name).existingSecret -}}
{{- else if eq .name "predictor" -}}
{{- $_ := required "predictor.settings.models is missing: names of the models to serve" $all.models -}}
{{- else if eq .name "drift_monitor" -}}
{{- $_ := required "drift_monitor.settings.model is missing: name of the model whose evaluations are watched" $all.model -}}
{{- end -}}
{{- if and (ne .name "drift_monitor") (not (contains "://" $all.snapshot_store)) (not (include "stream-ml.snapshots-claim" .root)) -}}
{{- fail (printf "%s.settings.snapshot_store is %s, and no volume is there: set snapshots.claim, or a URL" .name $all.snapshot_store) -}}
{{- end -}}
{{- include "stream-ml.toml" $all | trimPrefix "\n" -}}
{{- end -}}

{{/* Where the settings are: a Secret as soon as they name one, as a password or a URL with a user (the name of a file with one is none). */}}
{{- define "stream-ml.settings-kind" -}}
{{- $secret := "(?i)(password|secret|token|credential|key\\.pem|private)[^\\n]*=|://[^/@\\s\"]+@" -}}
{{- $text := regexReplaceAll "(?m)^\\w+_file = .*$" (include "stream-ml.settings" .) "" -}}
{{- if regexMatch $secret $text -}}Secret{{- else -}}ConfigMap{{- end -}}
{{- end -}}

{{/* The volume of the settings file of the service .name. */}}
{{- define "stream-ml.settings-volume" -}}
{{- $existing := (index .root.Values .name).existingSecret -}}
- name: settings-{{ .name | replace "_" "-" }}
{{- if or $existing (eq (include "stream-ml.settings-kind" .) "Secret") }}
  secret: { secretName: {{ $existing | default (include "stream-ml.name" .) }}, defaultMode: 0440 }
{{- else }}
  configMap: { name: {{ include "stream-ml.name" . }} }
{{- end }}
{{- end -}}

{{/* Pods are new when what they read at their start is. */}}
{{- define "stream-ml.checksums" -}}
checksum/settings: {{ include "stream-ml.settings" . | sha256sum }}
{{- if or (eq .name "learner") (eq .name "retrainer") }}
checksum/model: {{ .root.Values.model.file | sha256sum }}
{{- end }}
{{- if eq .name "retrainer" }}
checksum/learner: {{ include "stream-ml.settings" (dict "root" .root "name" "learner") | sha256sum }}
{{- end }}
{{- end -}}
