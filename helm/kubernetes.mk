# Included by the Makefile: manifests from the chart, tests on a real cluster, load tests.

# The image under test, the command that builds it, and the one that loads it onto the nodes.
E2E_IMAGE      ?= gpserve:dev
E2E_BUILD      ?= docker build --tag $(E2E_IMAGE) .
E2E_LOAD_IMAGE ?= kind load docker-image $(E2E_IMAGE) --name gpserve
# The same for the workers' image.
E2E_WORKER_IMAGE      ?= $(E2E_IMAGE)-train
E2E_BUILD_WORKER      ?= docker build --tag $(E2E_WORKER_IMAGE) --target train .
E2E_LOAD_WORKER_IMAGE ?= kind load docker-image $(E2E_WORKER_IMAGE) --name gpserve
# The image of the queue's Valkey, and the command that builds it where it cannot be pulled
# (tests/deploy/e2e/valkey/Dockerfile is a substitute).
E2E_VALKEY_IMAGE ?= valkey/valkey:9.1.3
E2E_BUILD_VALKEY ?= true
# The Helm that installs the chart, version 3 or 4.
E2E_HELM       ?= helm
# The command that gives the chart's rules to prometheus-adapter; the file name is appended.
E2E_LOAD_RULES ?= scripts/load_rules.sh
# The address of the ingress, and a Gateway as namespace/name (empty: HTTPRoute is not tested).
E2E_URL        ?= http://127.0.0.1:8080
E2E_GATEWAY    ?=
# A Prometheus that scrapes annotated pods (empty: dashboard and alerts are not tested).
E2E_PROMETHEUS ?=
# Options of the load test: see `python -m loadtest --help`.
LOADTEST       ?= --url $(E2E_URL) --host gpserve.local --namespace default
export E2E_IMAGE E2E_WORKER_IMAGE E2E_VALKEY_IMAGE E2E_URL E2E_GATEWAY E2E_PROMETHEUS E2E_HELM

manifests: $(VENV)/.dev ## render k8s/ from the chart (requires helm)
	$(BIN)/python -m scripts.manifests

chart-readme: $(VENV)/.dev ## update the table of values in the chart's README from values.yaml
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

e2e-smoke: $(VENV)/.cluster e2e-image e2e-rules ## run the chart's tests with Helm, and a few minutes of the tests on a cluster
	$(BIN)/python -m pytest tests/deploy/chart
	$(BIN)/python -m pytest tests/deploy/e2e -m smoke

e2e: $(VENV)/.cluster e2e-image e2e-worker-image e2e-rules ## run the tests on the cluster of KUBECONFIG (half an hour)
	$(BIN)/python -m pytest tests/deploy/e2e

e2e-jobs: $(VENV)/.cluster e2e-image e2e-worker-image e2e-rules ## run only the cluster tests of jobs, training and keys (a quarter of an hour)
	$(BIN)/python -m pytest $(addprefix tests/deploy/e2e/,test_jobs.py test_versions.py test_worker_scaling.py test_retraining.py test_keys.py)

loadtest: $(VENV)/.cluster ## load the service, watch the cluster, and draw build/loadtest.png
	$(BIN)/python -m loadtest $(LOADTEST)

.PHONY: manifests chart-readme e2e-image e2e-worker-image e2e-rules e2e-smoke e2e e2e-jobs loadtest
