"""A real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.helpers.patience import PATIENCE_SECONDS

# The headless shell is the same engine without the windows, and takes a quarter less time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)

_PATIENCE = 1000 * PATIENCE_SECONDS  # playwright counts milliseconds


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, and close it."""
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        yield browser
        browser.close()


def new_window(browser: Browser, **options: Any) -> BrowserContext:
    """Open a window with its own storage and playwright's options, whose tabs wait patiently."""
    window = browser.new_context(**options)
    window.set_default_timeout(_PATIENCE)
    return window
