"""The page and the API documentation behind an ingress that strips a path prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.app import create_app
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.inprocess import in_process
from tests.web.page.conftest import requested, wait_drawn

PREFIX = "/team/gp"


@pytest.fixture(scope="module")
def prefixed() -> Iterator[str]:
    """The address of a service behind a prefix that it does not know; the root is not served."""
    service = create_app(Runtime(Settings())).wsgi_app

    def ingress(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith(f"{PREFIX}/"):
            return service(environ | {"PATH_INFO": path.removeprefix(PREFIX)}, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]

    with in_process(ingress) as url:
        yield url + PREFIX


@pytest.fixture
def page(tab: Page, prefixed: str) -> Iterator[Page]:
    """An empty tab; a request outside the prefix fails the test."""
    with requested(tab) as urls:
        yield tab
    assert urls
    assert [url for url in urls if not url.startswith((f"{prefixed}/", "data:"))] == []


def test_the_page(page: Page, prefixed: str) -> None:
    page.goto(f"{prefixed}/")
    wait_drawn(page)
    expect(page.locator("#curl")).to_contain_text(f"{prefixed}/predict")


def test_the_api_is_documented_and_can_be_tried(page: Page, prefixed: str) -> None:
    page.goto(f"{prefixed}/docs")
    liveness = page.locator(".opblock", has_text="/healthz")
    liveness.locator(".opblock-summary-control").click()
    liveness.get_by_role("button", name="Try it out").click()
    liveness.get_by_role("button", name="Execute").click()
    expect(liveness.locator(".request-url")).to_contain_text(f"{prefixed}/healthz")
    expect(liveness.locator(".live-responses-table")).to_contain_text('"status": "alive"')
