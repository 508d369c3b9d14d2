#!/usr/bin/env bash
# gpserve on minikube, from nothing: as scripts/kind.sh, with minikube's own metrics-server.
# It can be run again. Needs docker, minikube, kubectl and helm. Afterwards:
#   curl -H 'Host: gpserve.local' "http://$(minikube ip):30080/model"
set -euo pipefail
cd "$(dirname "$0")/.."

minikube status >/dev/null 2>&1 || minikube start --cpus 4 --memory 6g --addons metrics-server
minikube image build --tag gpserve:dev .
scripts/addons.sh
scripts/install.sh
