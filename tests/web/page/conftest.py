"""One browser and one server for the page's tests, and what they expect of the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import Server, serving
from tests.web.page.browser import CHROMIUM, chromium, new_page


@pytest.fixture(scope="module")  # playwright holds the thread's event loop until it stops
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("the page's tests use Debian's chromium: apt-get install chromium")
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """The page, ready; an error in its scripts or a request to elsewhere fails the test."""
    with new_page(browser) as opened:
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda request: wrong.extend(_elsewhere(request.url, site.url)))
        answers: list[str] = []
        opened.on("response", lambda answer: answers.append(f"{answer.status} {answer.url}"))
        opened.goto(site.url)
        try:
            opened.locator(".plot .dot").last.wait_for()
        except TimeoutError as error:
            said = opened.locator("body").inner_text()
            raise AssertionError(f"no plot: {wrong} {answers} {said}") from error
        yield opened
        assert wrong == []


def _elsewhere(url: str, origin: str) -> list[str]:
    return [] if url.startswith((f"{origin}/", "blob:", "data:")) else [url]


def middle(gpr: GPR) -> FloatArray:
    """Where the sliders stand at first: the middle of the training range, shape (d,)."""
    return np.asarray(gpr.description.training_range.mean(axis=1))


def fields(page: Page) -> FloatArray:
    """What the number fields say, shape (d,), once the page has drawn them."""
    page.locator(".plot .dot").last.wait_for()
    return np.array([float(f.input_value()) for f in page.locator(".number").all()])


def shown(page: Page) -> FloatArray:
    """The mean and the ends of the band that the page shows, shape (3,)."""
    ids = ("mean", "lower", "upper")
    return np.array([float(page.locator(f"#{i}").get_attribute("value") or "nan") for i in ids])


def expected(gpr: GPR, x: FloatArray, *, noise: bool = True) -> FloatArray:
    """What the model says at x, shape (3,): mean, and the ends of the 95 % band."""
    mean, variance = gpr.predict(x[None, :], noise=noise)[0]
    half = 1.959963984540054 * variance**0.5
    return np.array([mean, mean - half, mean + half])


def expect_answer(page: Page, answer: FloatArray) -> None:
    """Wait until the page shows an answer; the last digits depend on who is asked along."""
    wait_until(page, lambda: np.allclose(shown(page), answer, rtol=1e-9, atol=0))
    np.testing.assert_allclose(shown(page), answer, rtol=1e-9)


def record(page: Page, id: str) -> Callable[[], list[str]]:
    """From now on, what an element said while it was to be seen, however short that was."""
    page.evaluate(_RECORD, id)
    return lambda: list(page.evaluate("id => window.recorded[id]", id))


_RECORD = """(id) => {
    const element = document.getElementById(id);
    const said = ((window.recorded ??= {})[id] = []);
    new MutationObserver(() => element.hidden || said.push(element.textContent))
        .observe(element, { childList: true, attributeFilter: ["hidden"] });
}"""


def wait_until(page: Page, true: Callable[[], bool]) -> None:
    """Let the browser go on until it is true, or patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true() and time.monotonic() < end:
        page.wait_for_timeout(50)
