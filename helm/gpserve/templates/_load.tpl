{{/* The metric of request load: the name of the gauge, and its target per pod. */}}
{{- define "gpserve.loadMetric" -}}
{{- ternary "http_requests_per_second" "predict_backlog_seconds" (eq .Values.autoscaling.load.metric "requests") -}}
{{- end -}}

{{- define "gpserve.loadTarget" -}}
{{- with .Values.autoscaling.load -}}
{{- ternary .targetRequestsPerSecond .targetBacklogSeconds (eq .metric "requests") -}}
{{- end -}}
{{- end -}}

{{/*
Whether the HPA uses the load metric: "true" or nothing. An HPA that cannot read one of its
metrics scales up on the others but never down, so a metric that the cluster lacks is left out.
*/}}
{{- define "gpserve.loadInHPA" -}}
{{- $api := .Capabilities.APIVersions -}}
{{- $there := or ($api.Has "custom.metrics.k8s.io/v1beta1") ($api.Has "custom.metrics.k8s.io/v1beta2") -}}
{{- $when := .Values.autoscaling.load.enabled -}}
{{- if or (eq $when "always") (and (eq $when "auto") $there) }}true{{ end -}}
{{- end -}}
