{{/* Rules between two values, which values.schema.json cannot express. */}}
{{- define "gpserve.validate" -}}
{{- $name := include "gpserve.fullname" . }}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) }}
{{- fail (printf "%s cannot be the name of a Service, which begins with a letter and has only small letters, digits and hyphens: set fullnameOverride" $name) }}
{{- end }}
{{- with .Values.model }}
{{- if and (has .source (list "configMap" "secret")) (not .name) }}
{{- fail (printf "model.source is %s: name it in model.name" .source) }}
{{- end }}
{{- if and (eq .source "volume") (not .volume) }}
{{- fail "model.source is volume: describe it in model.volume, e.g. {persistentVolumeClaim: {claimName: models}}" }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v)" .minReplicas .maxReplicas) }}
{{- end }}
{{- if and (ne .mode "none") (not .cpu.enabled) (eq .load.enabled "never") }}
{{- fail (printf "autoscaling.mode is %s, but neither autoscaling.cpu.enabled nor autoscaling.load.enabled gives it a metric" .mode) }}
{{- end }}
{{- if and (ne .mode "none") .cpu.enabled (not (dig "requests" "cpu" "" $.Values.resources)) }}
{{- fail "autoscaling.cpu.enabled needs resources.requests.cpu: utilisation is measured against it" }}
{{- end }}
{{- if and (eq .mode "hpa") (not .cpu.enabled) (not (include "gpserve.loadInHPA" $)) }}
{{- fail "autoscaling.cpu.enabled is false and the cluster has no custom metrics API: the HPA has no metric; install prometheus-adapter or use autoscaling.mode=keda" }}
{{- end }}
{{- end }}
{{- with .Values.updateStrategy }}
{{- $none := list "0" "0%" }}
{{- if and (eq .type "RollingUpdate") (has (dig "rollingUpdate" "maxSurge" "" . | toString) $none) (has (dig "rollingUpdate" "maxUnavailable" "" . | toString) $none) }}
{{- fail "updateStrategy.rollingUpdate allows neither a new pod beside the old ones nor one pod less: raise maxSurge or maxUnavailable" }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs, e.g. [{name: my-gateway, namespace: gateways}]" }}
{{- end }}
{{- if and (ne .Values.access.anonymous "predict") (not .Values.access.keysSecret.name) (not .Values.settings.GPSERVE_OIDC_ISSUER) (not (and .Values.jobs.enabled .Values.jobs.tokenSecret.name)) }}
{{- fail (printf "access.anonymous is %s, but nobody has a key: name a Secret in access.keysSecret" .Values.access.anonymous) }}
{{- end }}
{{- if .Values.jobs.enabled }}
{{- with .Values.worker.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "worker.autoscaling.minReplicas (%v) is above worker.autoscaling.maxReplicas (%v)" .minReplicas .maxReplicas) }}
{{- end }}
{{- if and (eq .mode "hpa") (lt (int .minReplicas) 1) }}
{{- fail "worker.autoscaling.minReplicas is 0: an HPA keeps at least one pod (its feature gate HPAScaleToZero is off in most clusters); use worker.autoscaling.mode=keda" }}
{{- end }}
{{- if and (eq .mode "hpa") (not (include "gpserve.queueInHPA" $)) (not (dig "requests" "cpu" "" $.Values.worker.resources)) }}
{{- fail "without a custom metrics API workers scale on CPU, which needs worker.resources.requests.cpu" }}
{{- end }}
{{- end }}
{{- if and .Values.redis.urlSecret.name .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) }}
{{- fail "redis.urlSecret names a Redis of yours: let pods reach it by networkPolicy.egress, e.g. [{ports: [{port: 6379}]}], or set networkPolicy.enabled=false" }}
{{- end }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) }}
{{- with .Values.settings.GPSERVE_OIDC_ISSUER }}
{{- fail (printf "settings.GPSERVE_OIDC_ISSUER is %s: let pods reach it and DNS by networkPolicy.egress, e.g. [{ports: [{port: 443}, {port: 53, protocol: UDP}, {port: 53}]}], or set networkPolicy.enabled=false" .) }}
{{- end }}
{{- if and .Values.jobs.enabled .Values.jobs.store (not (regexMatch "^(file|rediss?):" .Values.jobs.store)) }}
{{- fail (printf "jobs.store is %s: let pods reach it by networkPolicy.egress, e.g. [{ports: [{port: 443}]}], or set networkPolicy.enabled=false" .Values.jobs.store) }}
{{- end }}
{{- end }}
{{- with .Values.retraining }}
{{- if .enabled }}
{{- if not (and $.Values.jobs.enabled (or .tokenSecret.name $.Values.jobs.tokenSecret.name)) }}
{{- fail "retraining.enabled needs jobs.enabled, and a token for POST /train in retraining.tokenSecret.name or jobs.tokenSecret.name" }}
{{- end }}
{{- $places := list .table.url .table.urlSecret.name .table.volume | compact }}
{{- if ne (len $places) 1 }}
{{- fail "retraining.enabled needs one place of the table: retraining.table.url, urlSecret.name or volume" }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
