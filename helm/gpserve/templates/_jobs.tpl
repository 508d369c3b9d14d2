{{/* The image with GPy; by default the tag of the web pods' image followed by "-train". */}}
{{- define "gpserve.workerImage" -}}
{{- $tag := printf "%s-train" (default .Chart.AppVersion .Values.image.tag) -}}
{{ default .Values.image.repository .Values.worker.image.repository }}:{{ default $tag .Values.worker.image.tag }}
{{- end -}}

{{/* Whether the chart installs the bundled Valkey: "true" or nothing. */}}
{{- define "gpserve.bundledValkey" -}}
{{- if and .Values.jobs.enabled (not .Values.redis.urlSecret.name) }}true{{ end -}}
{{- end -}}

{{/* The environment variable with the password of the bundled Valkey. */}}
{{- define "gpserve.valkeyPassword" -}}
{{- with .Values.valkey.passwordSecret -}}
- name: VALKEY_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ default (include "gpserve.partName" (list $ "valkey")) .name | quote }}
      key: {{ .key | quote }}
{{- end -}}
{{- end -}}

{{/* Environment variables of web pods and workers for jobs; passwords come only from Secrets. */}}
{{- define "gpserve.jobsEnv" -}}
{{- if include "gpserve.bundledValkey" . -}}
{{ include "gpserve.valkeyPassword" . }}
- name: GPSERVE_REDIS_URL
  value: redis://:$(VALKEY_PASSWORD)@{{ include "gpserve.partName" (list . "valkey") }}:6379/0
{{- else -}}
{{- with .Values.redis.urlSecret -}}
- name: GPSERVE_REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}
{{- end -}}
{{- end }}
{{- with .Values.jobs.store }}
- {name: GPSERVE_STORE, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* The destinations of web pods and workers, as a NetworkPolicy's egress. */}}
{{- define "gpserve.egress" -}}
{{- if include "gpserve.bundledValkey" . -}}
- to:
    - podSelector:
        matchLabels: {{- include "gpserve.partSelectorLabels" (list . "valkey") | nindent 10 }}
  ports:
    - {port: 6379, protocol: TCP}
{{- end }}
{{- if .Values.jobs.enabled }}
# DNS, whichever server the cluster has.
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether the workers' HPA gets the queue's depth, as gpserve.loadInHPA says of the load. */}}
{{- define "gpserve.queueInHPA" -}}
{{- $api := .Capabilities.APIVersions -}}
{{- $there := or ($api.Has "custom.metrics.k8s.io/v1beta1") ($api.Has "custom.metrics.k8s.io/v1beta2") -}}
{{- $when := .Values.worker.autoscaling.queue.enabled -}}
{{- if or (eq $when "always") (and (eq $when "auto") $there) }}true{{ end -}}
{{- end -}}

{{/* The options of a training as JSON whose values are text; Helm reads numbers as floats. */}}
{{- define "gpserve.trainingOptions" -}}
{{- $found := dict -}}
{{- range $name, $value := .options -}}
{{- $_ := set $found $name (toString $value) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
