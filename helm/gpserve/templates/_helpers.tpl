{{- define "gpserve.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 63 | trimAll "-" -}}
{{- end -}}

{{- define "gpserve.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "gpserve.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "gpserve.selectorLabels" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "gpserve.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "gpserve.serviceAccountName" -}}
{{- default (ternary (include "gpserve.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Pod Security "restricted", for the pods and the helm test. */}}
{{- define "gpserve.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "gpserve.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Labels of another part than the web pods, e.g. (list . "worker"): its name differs. */}}
{{- define "gpserve.partSelectorLabels" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ printf "%s-%s" (default $root.Chart.Name $root.Values.nameOverride) (last .) }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
{{- end -}}

{{- define "gpserve.partLabels" -}}
helm.sh/chart: {{ printf "%s-%s" (first .).Chart.Name (first .).Chart.Version }}
{{ include "gpserve.partSelectorLabels" . }}
app.kubernetes.io/part-of: {{ default (first .).Chart.Name (first .).Values.nameOverride | quote }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
{{- end -}}

{{/* At most 52 characters: the pods of a StatefulSet and the Jobs of a CronJob add 11 in a label. */}}
{{- define "gpserve.partName" -}}
{{- printf "%s-%s" (include "gpserve.fullname" (first .) | trunc (int (sub 51 (len (last .)))) | trimAll "-") (last .) -}}
{{- end -}}

{{/* Kubernetes refuses rollingUpdate, which has a default, beside another type. */}}
{{- define "gpserve.updateStrategy" -}}
{{- with .Values.updateStrategy -}}
{{- toYaml (ternary . (omit . "rollingUpdate") (eq .type "RollingUpdate")) -}}
{{- end -}}
{{- end -}}
