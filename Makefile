# `make help` lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# `make test COVERAGE=--cov` measures coverage; the tests then take half as long again.
COVERAGE ?=
# The tests of a server share it, so one process runs them all (tests/conftest.py). Many tests wait
# rather than compute, so there are more processes than CPUs, but each takes seconds to start.
TOGETHER := -n 3 --dist loadfile --no-loadscope-reorder
# What `make quick-tests` runs: tests that start no server, worker or browser.
CHECK_TESTS := tests/gpr tests/services tests/runtime tests/deploy/chart tests/tools/loadtest tests/tools/test_import_order.py tests/docs/test_architecture.py --ignore=tests/tools/loadtest/test_traffic.py
# Of `make fuzz`: the inputs of each reader, what they are made from, and which readers (default: all).
INPUTS ?= 100000
SEED ?= 1
READERS ?=
# The service that the examples call.
URL ?= http://localhost:5000

help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: on Debian, apt install python3-venv"; rm -rf $(VENV); exit 1; }

# --no-deps: a lock lists every package. With dependency resolution, Debian 12's pip would look for
# an extra of a locked package (coverage[toml]) among newer releases, which have no hash here.
$(VENV)/.%: requirements/%.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

# Where there is no C compiler it says so, and NumPy computes.
kernel: | $(BIN)/python ## compile service/gpr/triangle.c, if there is a C compiler
	@$(BIN)/python service/gpr/compiling.py

run: $(VENV)/.local kernel ## serve on http://localhost:5000, with jobs and training; Ctrl-C stops everything
	$(BIN)/python -m service up

# Without bytecode each of a hundred processes would compile the service anew.
test quick-tests: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/.dev kernel ## run all tests that need no cluster
	$(BIN)/python -m pytest --ignore=tests/deploy/e2e $(TOGETHER) $(COVERAGE)

lint: $(VENV)/.dev ## run ruff, mypy and codespell, and check that the locks are complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pip check

check: lint quick-tests ## run lint and quick-tests, in half a minute

quick-tests: $(VENV)/.dev kernel ## run the tests that need no server
	$(BIN)/python -m pytest --quiet -n 2 --dist loadfile $(CHECK_TESTS)

kill-tests: $(VENV)/.dev ## kill workers, server and Redis with 100 jobs running; the table is in docs/jobs.md
	$(BIN)/python -m tests.worker.killing

fuzz: $(VENV)/.dev ## feed every reader with 100,000 broken inputs (10 minutes): make fuzz INPUTS=1000 SEED=2 READERS=npz
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --seed $(SEED) $(READERS)

fuzz-api: $(VENV)/.dev ## send 10,000 requests made from /openapi.json, with and without a key: make fuzz-api SEED=2
	$(BIN)/python -m tests.jobs.contract --seed $(SEED)

train: $(VENV)/.dev ## fit service/pretrained.npz to the bundled data
	$(BIN)/python -m service train --held-out-only

# Each toolkit that the service is compared with is in this environment only.
.venv-verify/.made: requirements/verify.txt
	@$(PYTHON) -m venv --clear .venv-verify
	@.venv-verify/bin/pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

verify: .venv-verify/.made kernel ## compare all answers with the truth and write docs/accuracy.md (10 minutes); make verify ONLY=draws
	.venv-verify/bin/python -W ignore -m verify $(ONLY)

genetic: $(VENV)/.examples ## find the best input with a genetic algorithm: make genetic URL=...
	PYTHONPATH=client $(BIN)/python -m examples.genetic $(URL)

montecarlo: $(VENV)/.examples ## propagate uncertain inputs by Monte Carlo: make montecarlo URL=...
	PYTHONPATH=client $(BIN)/python -m examples.montecarlo $(URL)

entered: $(VENV)/.dev ## print the files of service/ that a request enters; see docs/architecture.md
	$(BIN)/python -m tests.tools.entered

screenshots: $(VENV)/.dev ## take the pictures of docs/webpage.md with chromium
	$(BIN)/python -m tests.web.page.screenshots

version: ## print the version
	@sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py

lock: ## update the pinned versions and hashes in requirements/ from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml -o requirements/serve.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --group compile -o requirements/compile.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra train -c requirements/serve.txt pyproject.toml -o requirements/train.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra local -c requirements/train.txt pyproject.toml -o requirements/local.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra examples -c requirements/train.txt pyproject.toml -o requirements/examples.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev -c requirements/local.txt -c requirements/examples.txt pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev --extra cluster -c requirements/dev.txt pyproject.toml -o requirements/cluster.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra verify -c requirements/dev.txt pyproject.toml -o requirements/verify.txt

include helm/kubernetes.mk bench/bench.mk

.PHONY: help kernel run test lint check quick-tests kill-tests fuzz fuzz-api train verify genetic montecarlo entered screenshots version lock
