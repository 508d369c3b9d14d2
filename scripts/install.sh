#!/usr/bin/env bash
# The chart with the image that was loaded as gpserve:dev, from one pod to four, into the
# current namespace. METRICS=prometheus scales by the HPA, otherwise KEDA does.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=keda
[[ ${METRICS:-keda} == keda ]] || mode=hpa
helm upgrade --install gpserve helm/gpserve --wait --set image.tag=dev \
  --set autoscaling.mode=$mode --set autoscaling.minReplicas=1 --set autoscaling.maxReplicas=4
helm test gpserve
