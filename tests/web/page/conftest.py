"""The browser and the server of the page's tests, and what the tests expect of the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page, Request, TimeoutError, ViewportSize

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import Server, serving
from tests.web.page.browser import CHROMIUM, chromium, new_window

DESKTOP = ViewportSize(width=1280, height=720)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser of this package: until it stops, playwright occupies the thread's event loop."""
    if CHROMIUM is None:
        pytest.skip("the page's tests use Debian's chromium: apt-get install chromium")
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def only_tab(browser: Browser) -> Iterator[Page]:
    """The tab of all tests, since opening a window or a tab takes more time than most tests."""
    with new_window(browser, permissions=["clipboard-read", "clipboard-write"]) as window:
        yield window.new_page()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture
def tab(only_tab: Page) -> Iterator[Page]:
    """An empty tab without routes, in which no setting of another test is left."""
    yield only_tab
    only_tab.unroute_all()
    only_tab.goto("about:blank")
    only_tab.set_viewport_size(DESKTOP)
    only_tab.emulate_media(color_scheme="null", forced_colors="null", reduced_motion="null")


@pytest.fixture
def page(tab: Page, site: Server) -> Iterator[Page]:
    """The page, ready; an error in its scripts or a request to another host fails the test."""
    with requested(tab) as urls, thrown(tab) as errors:
        tab.goto(site.url)
        wait_drawn(tab)
        yield tab
    assert errors == []
    assert [url for url in urls if not url.startswith((f"{site.url}/", "blob:", "data:"))] == []


@contextmanager
def requested(page: Page) -> Iterator[list[str]]:
    """Collect the addresses that a page requests, before a route changes them."""
    urls: list[str] = []

    def add(request: Request) -> None:
        urls.append(request.url)

    page.on("request", add)
    yield urls
    page.remove_listener("request", add)


@contextmanager
def thrown(page: Page) -> Iterator[list[str]]:
    """Collect the errors that nothing catches in a page's scripts."""
    errors: list[str] = []

    def add(error: Error) -> None:
        errors.append(str(error))

    page.on("pageerror", add)
    yield errors
    page.remove_listener("pageerror", add)


def wait_drawn(page: Page) -> None:
    """Wait until the page has drawn its plots."""
    try:
        page.locator(".plot .dot").last.wait_for()
    except TimeoutError as error:
        raise AssertionError(f"no plots: {page.locator('body').inner_text()}") from error


def middle(gpr: GPR) -> FloatArray:
    """The middle of the training range, where the sliders are at first, shape (d,)."""
    return np.asarray(gpr.description.training_range.mean(axis=1))


def fields(page: Page) -> FloatArray:
    """The values of the number fields, shape (d,), once the page has drawn them."""
    wait_drawn(page)
    values = page.locator(".number").evaluate_all("found => found.map((field) => field.value)")
    return np.array([float(value) for value in values])


def shown(page: Page) -> FloatArray:
    """The mean and the limits of the band that the page shows, shape (3,)."""
    values = page.locator("#mean, #lower, #upper").evaluate_all(
        "found => found.map((e) => e.value)"
    )
    return np.array([float(value or "nan") for value in values])


def expected(gpr: GPR, x: FloatArray, *, noise: bool = True) -> FloatArray:
    """The model's mean at x and the limits of its 95 % band, shape (3,)."""
    mean, variance = gpr.predict(x[None, :], noise=noise)[0]
    half = 1.959963984540054 * variance**0.5
    return np.array([mean, mean - half, mean + half])


def expect_answer(page: Page, answer: FloatArray) -> None:
    """Wait until the page shows an answer; its last digits depend on the other points."""
    wait_until(page, lambda: np.allclose(shown(page), answer, rtol=1e-9, atol=0))
    np.testing.assert_allclose(shown(page), answer, rtol=1e-9)


def record(page: Page, id: str) -> Callable[[], list[str]]:
    """Record every text that an element shows from now on, however briefly."""
    page.evaluate(_RECORD, id)
    return lambda: list(page.evaluate("id => window.recorded[id]", id))


_RECORD = """(id) => {
    const element = document.getElementById(id);
    const texts = ((window.recorded ??= {})[id] = []);
    new MutationObserver(() => element.hidden || texts.push(element.textContent))
        .observe(element, { childList: true, attributeFilter: ["hidden"] });
}"""


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    """Let the browser work until the condition is true, or patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < end:
        page.wait_for_timeout(50)
