# Kubernetes: manifests from the chart, tests on a real cluster, load tests. Included by Makefile.

# The image under test, how it is built, and how it gets onto the cluster's nodes.
E2E_IMAGE      ?= gpserve:dev
E2E_BUILD      ?= docker build --tag $(E2E_IMAGE) .
E2E_LOAD_IMAGE ?= kind load docker-image $(E2E_IMAGE)
# The same of the workers' image.
E2E_WORKER_IMAGE      ?= $(E2E_IMAGE)-train
E2E_BUILD_WORKER      ?= docker build --tag $(E2E_WORKER_IMAGE) --target train .
E2E_LOAD_WORKER_IMAGE ?= kind load docker-image $(E2E_WORKER_IMAGE)
# The Valkey of the queue, and how it is built where it cannot be pulled:
# tests/e2e/valkey/Dockerfile is a stand-in.
E2E_VALKEY_IMAGE ?= valkey/valkey:9.1.3
E2E_BUILD_VALKEY ?= true
# The Helm to install with, 3 or 4.
E2E_HELM       ?= helm
# How prometheus-adapter gets the chart's rules; the file's name is appended.
E2E_LOAD_RULES ?= scripts/load_rules.sh
# Where the ingress answers, and a Gateway as namespace/name (empty: no test of the HTTPRoute).
E2E_URL        ?= http://127.0.0.1:8080
E2E_GATEWAY    ?=
# A Prometheus that scrapes annotated pods (empty: no test of dashboard and alerts).
E2E_PROMETHEUS ?=
# Options of the load test: see `python -m loadtest --help`.
LOADTEST       ?= --url $(E2E_URL) --host gpserve.local --namespace default
export E2E_IMAGE E2E_WORKER_IMAGE E2E_VALKEY_IMAGE E2E_URL E2E_GATEWAY E2E_PROMETHEUS E2E_HELM

manifests: $(VENV)/.dev ## render k8s/ from the chart (needs helm)
	$(BIN)/python -m scripts.manifests

chart-readme: $(VENV)/.dev ## write the chart's table of values from its comments
	$(BIN)/python -m scripts.chart_readme

e2e-image:
	$(E2E_BUILD)
	$(E2E_LOAD_IMAGE)

e2e-worker-image:
	$(E2E_BUILD_WORKER)
	$(E2E_LOAD_WORKER_IMAGE)
	$(E2E_BUILD_VALKEY)

e2e-rules:
	$(E2E_LOAD_RULES) helm/gpserve/prometheus-adapter/rules.yaml

e2e-smoke: $(VENV)/.cluster e2e-image e2e-rules ## the chart's tests with Helm, and the short part of e2e
	$(BIN)/python -m pytest tests/chart
	$(BIN)/python -m pytest tests/e2e -m smoke

e2e: $(VENV)/.cluster e2e-image e2e-worker-image e2e-rules ## tests on the real cluster of KUBECONFIG, about half an hour
	$(BIN)/python -m pytest tests/e2e

e2e-jobs: $(VENV)/.cluster e2e-image e2e-worker-image e2e-rules ## of those, the tests of jobs, about ten minutes
	$(BIN)/python -m pytest tests/e2e/test_jobs.py tests/e2e/test_versions.py tests/e2e/test_worker_scaling.py

loadtest: $(VENV)/.cluster ## drive the service, watch the cluster, draw build/loadtest.png
	$(BIN)/python -m loadtest $(LOADTEST)

.PHONY: manifests chart-readme e2e-image e2e-worker-image e2e-rules e2e-smoke e2e e2e-jobs loadtest
