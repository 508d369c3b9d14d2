#!/usr/bin/env bash
# Installs the chart into the current namespace, with one to four pods and the image gpserve:dev,
# which must be loaded onto the node. KEDA scales it, or with METRICS=prometheus the HPA.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=keda
[[ ${METRICS:-keda} == keda ]] || mode=hpa
helm upgrade --install gpserve helm/gpserve --wait --set image.tag=dev \
  --set autoscaling.mode=$mode --set autoscaling.minReplicas=1 --set autoscaling.maxReplicas=4
helm test gpserve
