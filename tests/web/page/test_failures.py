"""The server refuses, is gone, or serves another model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.gpr import GPR
from tests.gpr.oracle import kernel, regression
from tests.helpers import plainhttp
from tests.helpers.serving import Server, serving
from tests.web.page.browser import new_window
from tests.web.page.conftest import (
    expect_answer,
    expected,
    fields,
    record,
    wait_drawn,
    wait_until,
)
from tests.web.page.interrupted import interrupting


def test_a_busy_server_is_asked_again(page: Page, gpr: GPR) -> None:
    problem = '{"type":"about:blank","title":"…","status":503,"detail":"2.0 s of work is waiting"}'

    def refuse(route: Route) -> None:
        route.fulfill(
            status=503,
            body=problem,
            content_type="application/problem+json",
            headers={"Retry-After": "1"},
        )

    page.route("**/predict", refuse, times=1)
    alerts = record(page, "problem")
    page.get_by_role("spinbutton", name="lat").fill("-20")
    expect_answer(page, expected(gpr, fields(page)))
    assert "2.0 s of work is waiting" in alerts()
    expect(page.locator("#problem")).to_be_hidden()


def test_a_refused_point_shows_the_detail(tab: Page, tmp_path: Path) -> None:
    with serving(tmp_path, max_points=50) as small:
        tab.goto(small.url)
        expect(tab.get_by_role("alert")).to_contain_text(
            "165 points are more than 50, the limit of one request"
        )


def test_a_server_that_is_gone_is_reported(tab: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        tab.goto(server.url)
        wait_drawn(tab)
        server.stop()
        tab.get_by_role("slider").first.press("ArrowRight")
        expect(tab.get_by_role("alert")).to_contain_text("The server cannot be reached")


def test_an_interrupted_answer_says_after_how_many_rows(page: Page, tmp_path: Path) -> None:
    table = tmp_path / "three.csv"
    table.write_text("lat,long,depth,stations\n" + "-20,181,500,30\n" * 3)
    with interrupting() as server:
        page.route("**/predict?*", lambda route: route.continue_(url=server.url))
        page.set_input_files("#file", table)
        expect(page.locator("#stage")).to_have_text("2 of 3 rows")
        server.stop.set()
        expect(page.locator("#table-problem")).to_have_text(
            "The connection was lost after 2 rows of the answer. Send the file again."
        )
    expect(page.locator("#work")).to_be_hidden()


def test_a_new_version_takes_over(tab: Page, site: Server, gpr: GPR) -> None:
    """A header of an answer tells the page that another model is served now."""
    old = plainhttp.get(f"{site.url}/model").json() | {"version": "000000000000", "name": "old"}
    tab.route("**/model", lambda route: route.fulfill(json=old), times=1)
    tab.goto(site.url)
    expect(tab.locator("#name")).to_have_text(gpr.description.name)
    expect(tab.locator("#origin")).to_contain_text(gpr.description.version)
    expect_answer(tab, expected(gpr, fields(tab)))


def test_a_new_version_with_other_inputs_takes_over(tab: Page, site: Server, gpr: GPR) -> None:
    """Every question is refused, and the process that is asked for the model is not up to date."""
    served = plainhttp.get(f"{site.url}/model").json()
    ranges = {"lat": [-39.0, -10.0], "width": [0.0, 1.0]}
    old = {"version": "000000000000", "feature_names": list(ranges), "training_range": ranges}
    tab.route("**/model", lambda route: route.fulfill(json=served | old), times=2)
    tab.goto(site.url)
    expect(tab.locator(".head label")).to_have_text(list(gpr.description.feature_names))
    expect_answer(tab, expected(gpr, fields(tab)))
    expect(tab.locator("#problem")).to_be_hidden()


@pytest.fixture
def page_with_clock(browser: Browser, site: Server) -> Iterator[Page]:
    """The page in a window of its own, since all tabs of a window share the clock."""
    with new_window(browser) as window:
        opened = window.new_page()
        opened.goto(site.url)
        wait_drawn(opened)
        opened.clock.install()
        yield opened


def test_a_refused_question_requests_the_model_only_twice(page_with_clock: Page) -> None:
    page = page_with_clock
    problem = {"status": 422, "detail": "no use for it"}
    questions: list[str] = []

    def refuse(route: Route) -> None:
        questions.append(route.request.url)
        route.fulfill(status=422, json=problem)

    asked: list[str] = []
    page.on("request", lambda sent: asked.extend([sent.url] * sent.url.endswith("/model")))
    page.route("**/predict", refuse)
    page.get_by_role("slider").first.press("ArrowRight")
    page.clock.run_for(1000)
    expect(page.get_by_role("alert")).to_have_text("no use for it")
    page.clock.run_for(60_000)
    wait_until(page, lambda: len(asked) == 2)
    page.clock.run_for(60_000)
    assert (len(questions), len(asked)) == (1, 2)


def test_names_are_text_and_never_markup(tab: Page, tmp_path: Path) -> None:
    names = ["<img src=x>", "a&b='c' é"]
    model = GPR.from_gpy(regression(20, 2, kernel("RBF", 2, ard=True)), feature_names=names)
    model.save(tmp_path / "strange.npz")
    with serving(tmp_path, model=tmp_path / "strange.npz") as server:
        tab.goto(server.url)
        expect_answer(tab, expected(model, fields(tab)))
        expect(tab.locator(".head label")).to_have_text(names)
        tab.locator("#diagnostics").scroll_into_view_if_needed()
        expect(tab.locator("#relevance th")).to_have_text(names[::-1])  # by relevance
        expect(tab.locator("#worst th")).to_contain_text(["row", "off by", *names])
        expect(tab.locator("img")).to_have_count(0)
        address = (tab.locator("#curl").text_content() or "").removeprefix("curl ").strip("'")
        answer = plainhttp.get(address).json()
        assert abs(answer["mean"] - expected(model, fields(tab))[0]) < 1e-9
