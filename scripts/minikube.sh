#!/usr/bin/env bash
# Sets up gpserve on minikube, as scripts/kind.sh does on kind, with minikube's own metrics-server.
# It requires docker, minikube, kubectl and helm, and can be run again. Try it with:
#   curl -H 'Host: gpserve.local' "http://$(minikube ip):30080/model"
set -euo pipefail
cd "$(dirname "$0")/.."

minikube status >/dev/null 2>&1 || minikube start --cpus 4 --memory 6g --addons metrics-server
minikube image build --tag gpserve:dev .
scripts/addons.sh
scripts/install.sh
