# Included by the Makefile: the benchmarks. Each side has its own environment, installed from a lock.
ENVS        := build/bench/envs
BENCH_PEERS := fastapi umbridge article mlserver litserve bentoml
BENCH_MADE  := $(patsubst %,$(ENVS)/%/.made,gpserve train local load client toolkits $(BENCH_PEERS))
BENCH_PARTS := model speed v2 flaskcost batching meanwhile uploads overload keys start idle workers evaluate client jobs

$(ENVS)/gpserve/.made: requirements/serve.txt
$(ENVS)/train/.made: requirements/train.txt
$(ENVS)/local/.made: requirements/local.txt
$(patsubst %,$(ENVS)/%/.made,load client toolkits $(BENCH_PEERS)): $(ENVS)/%/.made: bench/requirements-%.txt

$(BENCH_MADE):
	@echo "installing $(@D)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

bench: $(BENCH_MADE) kernel ## run every benchmark and write docs/benchmarks.md (two cores, 45 minutes); one part: make bench-speed
	$(ENVS)/load/bin/python -m bench $(BENCH_PARTS)

$(BENCH_PARTS:%=bench-%): bench-%: $(BENCH_MADE) kernel
	$(ENVS)/load/bin/python -m bench $*

overload: bench-overload ## measure goodput and probes under overload on 64 to 512 connections (eight minutes)

bench-lock: $(VENV)/.dev ## update the benchmarks' pinned versions from bench/*.in
	for side in load client toolkits $(BENCH_PEERS); do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	    --python-version 3.11 -c requirements/train.txt \
	    bench/requirements-$$side.in -o bench/requirements-$$side.txt || exit 1; \
	done

.PHONY: bench bench-lock overload $(BENCH_PARTS:%=bench-%)
