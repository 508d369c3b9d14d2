# The examples that burst: a genetic algorithm and a Monte Carlo propagation, against URL.
URL ?= http://localhost:5000

genetic: $(VENV)/.examples ## find the best input by a genetic algorithm: make genetic URL=...
	PYTHONPATH=client $(BIN)/python -m examples.genetic $(URL)

montecarlo: $(VENV)/.examples ## propagate uncertain inputs: make montecarlo URL=...
	PYTHONPATH=client $(BIN)/python -m examples.montecarlo $(URL)

.PHONY: genetic montecarlo
