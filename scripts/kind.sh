#!/usr/bin/env bash
# Sets up gpserve on kind: a cluster, the image, metrics-server, an ingress controller, KEDA (or,
# with METRICS=prometheus, Prometheus and prometheus-adapter), and the chart. It requires docker,
# kind, kubectl and helm, and can be run again. Try it with:
#   curl -H 'Host: gpserve.local' http://127.0.0.1:8080/model
set -euo pipefail
cd "$(dirname "$0")/.."

kind get clusters | grep -qx gpserve || kind create cluster --name gpserve --config k8s/kind/cluster.yaml
docker build --tag gpserve:dev .
kind load docker-image gpserve:dev --name gpserve

# kind's kubelets sign their own certificates.
helm upgrade --install metrics-server metrics-server \
  --repo https://kubernetes-sigs.github.io/metrics-server \
  --namespace kube-system --set 'args={--kubelet-insecure-tls,--metric-resolution=10s}'
scripts/addons.sh
scripts/install.sh
