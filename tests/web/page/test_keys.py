"""The page and the API's pages of a service that requires a key: the browser asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, HttpCredentials, expect

from service.app import create_app
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.inprocess import in_process
from tests.helpers.stack import write_keys
from tests.web.page.browser import new_window
from tests.web.page.conftest import wait_drawn


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("closed")
    settings = Settings(keys=str(write_keys(folder / "keys.toml")), anonymous="none")
    with in_process(create_app(Runtime(settings))) as url:
        yield url


def test_the_page_works_with_a_key_as_the_password(browser: Browser, closed: str) -> None:
    key = HttpCredentials(username="anyone", password="key-of-mine")
    with new_window(browser, http_credentials=key) as window:
        page = window.new_page()
        page.goto(closed)
        wait_drawn(page)
        page.goto(f"{closed}/docs")
        expect(page.locator(".opblock", has_text="/predict").first).to_be_visible()


def test_without_a_key_the_browser_is_asked_for_one(browser: Browser, closed: str) -> None:
    with new_window(browser) as window:
        answer = window.request.get(closed)
        assert answer.status == 401
        assert "Basic" in answer.headers["www-authenticate"]
        assert "a key with the role 'read' is required" in answer.json()["detail"]
