kill-tests: $(VENV)/.dev ## kill workers, server and Redis with 100 jobs in flight; prints a table
	$(BIN)/python -m tests.jobs.killing

.PHONY: kill-tests
