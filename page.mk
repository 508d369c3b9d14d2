# The web page: its pictures. Its tests run with `make test` and use Debian's chromium.
screenshots: $(VENV)/.dev ## the pictures of docs/webpage.md, by chromium
	$(BIN)/python -m tests.page.screenshots

.PHONY: screenshots
