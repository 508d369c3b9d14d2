# gpserve: `make help` prints what each target does.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
COVERAGE ?= # as in COVERAGE=--cov, which takes half as long again
# A file's tests share its servers, and many wait more than they compute.
TOGETHER := -n 5 --dist loadfile --no-loadscope-reorder
BIN    := $(VENV)/bin

help: ## print this help
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: on Debian, apt install python3-venv"; rm -rf $(VENV); exit 1; }

# A lock is whole. Were pip to resolve it, Debian 12's would look for an extra of a locked package
# (coverage[toml]) among newer releases, which have no hash here.
$(VENV)/.%: requirements/%.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

run: $(VENV)/.local ## serve on http://localhost:5000, with jobs and training; Ctrl-C stops all
	$(BIN)/python -m service up

test: $(VENV)/.dev ## the tests, all but the cluster
	$(BIN)/python -m pytest --ignore=tests/e2e $(TOGETHER) $(COVERAGE)

lint: $(VENV)/.dev ## ruff, mypy (strict), and whether the locks are whole
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pip check

train: $(VENV)/.dev ## fit service/pretrained.npz from the bundled data
	$(BIN)/python -m service train

lock: ## pin versions and hashes again from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml -o requirements/serve.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra train -c requirements/serve.txt pyproject.toml -o requirements/train.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra local -c requirements/train.txt pyproject.toml -o requirements/local.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra examples -c requirements/train.txt pyproject.toml -o requirements/examples.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev -c requirements/local.txt -c requirements/examples.txt pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev --extra cluster -c requirements/dev.txt pyproject.toml -o requirements/cluster.txt

-include kubernetes.mk bench.mk page.mk examples.mk jobs.mk

.PHONY: help run test lint train lock
