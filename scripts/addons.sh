#!/usr/bin/env bash
# Installs what a new cluster lacks: an ingress controller (Traefik, on port 30080 of every node)
# and a source for the request load: KEDA, or with METRICS=prometheus Prometheus and
# prometheus-adapter with the chart's rules.
set -euo pipefail
cd "$(dirname "$0")/.."

helm upgrade --install traefik traefik --repo https://traefik.github.io/charts \
  --namespace traefik --create-namespace --wait \
  --set service.type=NodePort --set ports.web.nodePort=30080

if [[ ${METRICS:-keda} == keda ]]; then
  helm upgrade --install keda keda --repo https://kedacore.github.io/charts \
    --namespace keda --create-namespace --wait
else
  charts=https://prometheus-community.github.io/helm-charts
  helm upgrade --install prometheus prometheus --repo "$charts" \
    --namespace monitoring --create-namespace --wait \
    --set server.global.scrape_interval=5s --set server.global.scrape_timeout=4s \
    --set alertmanager.enabled=false --set prometheus-pushgateway.enabled=false
  scripts/load_rules.sh helm/gpserve/prometheus-adapter/rules.yaml
  helm upgrade --install prometheus-adapter prometheus-adapter --repo "$charts" \
    --namespace monitoring --wait --set rules.existing=gpserve-adapter-rules \
    --set prometheus.url=http://prometheus-server.monitoring.svc --set prometheus.port=80
fi
