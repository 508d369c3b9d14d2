#!/usr/bin/env bash
# Gives a file of rules to prometheus-adapter, which reads them from a ConfigMap when it starts.
set -euo pipefail
rules=${1:?usage: load_rules.sh FILE}

kubectl create namespace monitoring --dry-run=client -o yaml | kubectl apply -f -
kubectl create configmap gpserve-adapter-rules --namespace monitoring \
  --from-file=config.yaml="$rules" --dry-run=client -o yaml | kubectl apply -f -
if kubectl get deployment prometheus-adapter --namespace monitoring >/dev/null 2>&1; then
  kubectl rollout restart deployment/prometheus-adapter --namespace monitoring
fi
