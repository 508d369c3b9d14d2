kill-tests: $(VENV)/.dev ## kill workers, server and Redis with 100 jobs in flight: a table in docs/jobs.md
	$(BIN)/python -m tests.jobs.killing

.PHONY: kill-tests
