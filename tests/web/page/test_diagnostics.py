"""The section that says how good the model is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, Route, expect

from service.gpr import GPR
from tests.helpers.serving import Server
from tests.web.page.conftest import thrown, wait_drawn

PLOTS = ("predicted", "residuals", "histogram", "coverage")


def look(page: Page) -> None:
    """Scroll to the section, which is loaded only then, and wait until it is there."""
    page.locator("#diagnostics").scroll_into_view_if_needed()
    expect(page.locator("#diagnosed")).to_be_visible()


def test_it_is_loaded_when_somebody_looks(tab: Page, site: Server) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.set_viewport_size({"width": 390, "height": 600})
    tab.goto(site.url)
    wait_drawn(tab)
    assert not any(url.endswith("/model/diagnostics") for url in asked)
    look(tab)
    tab.evaluate("scrollTo(0, 0)")
    look(tab)
    assert sum(url.endswith("/model/diagnostics") for url in asked) == 1


def test_every_row_is_drawn_and_told(page: Page, gpr: GPR) -> None:
    look(page)
    residuals = gpr.diagnostics().residuals
    outside = int(np.sum(np.abs(residuals) > 1.959963984540054))
    for plot in ("predicted", "residuals"):
        for kind, count in (("dots", len(residuals) - outside), ("crosses", 2 * outside)):
            drawn = page.locator(f"#{plot}-plot .{kind}").get_attribute("d") or ""
            assert drawn.lower().count("m") == count
    bars = page.locator("#histogram-plot rect").evaluate_all(
        "found => found.map((bar) => Number(bar.getAttribute('height')))"
    )
    assert len(bars) == 20
    told = page.get_by_role("img", name=f"{outside} of 800 rows")
    expect(told).to_have_count(1)
    for plot in PLOTS:
        assert page.locator(f"#{plot}-plot").get_attribute("aria-labelledby") == f"{plot}-words"
        assert len(page.locator(f"#{plot}-words").inner_text()) > 40
    expect(page.locator("#verdict")).to_have_text(gpr.description.scores["verdict"][0])


def test_relevance_scores_and_worst_rows(page: Page, gpr: GPR) -> None:
    look(page)
    found = gpr.diagnostics()
    order = np.argsort(-found.relevance)
    names = page.locator("#relevance th").all_inner_texts()
    assert names == [gpr.feature_names[i] for i in order]
    widths = page.locator("#relevance rect").evaluate_all(
        "found => found.map((bar) => Number(bar.getAttribute('width')))"
    )
    np.testing.assert_allclose(widths, 100 * found.relevance[order] / found.relevance.max())
    expect(page.locator("#compared")).to_contain_text("78.7 %")
    rows = page.locator("#worst tr")
    expect(rows).to_have_count(11)
    worst = found.worst(1)[0]
    expect(rows.nth(1)).to_contain_text(str(worst))
    expect(rows.nth(1)).to_contain_text(str(found.X[worst, 1]).removesuffix(".0"))


def test_all_rows_are_saved(page: Page, gpr: GPR) -> None:
    look(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save all rows").click()
    assert download.value.suggested_filename.endswith("-diagnostics.csv")
    with Path(download.value.path()).open(newline="") as file:
        assert len(list(csv.DictReader(file))) == gpr.description.training_points


def test_a_model_without_diagnostics_says_why(page: Page) -> None:
    problem = {"detail": "Sum has no diagnostics", "status": 404}
    content = {"status": 404, "content_type": "application/problem+json"}
    page.route("**/model/diagnostics", lambda r: r.fulfill(body=json.dumps(problem), **content))
    page.reload()
    wait_drawn(page)
    page.locator("#diagnostics").scroll_into_view_if_needed()
    expect(page.locator("#diagnostics-state")).to_have_text("Sum has no diagnostics")
    expect(page.locator("#diagnosed")).to_be_hidden()


def test_a_fault_is_seen_beside_the_answer(page: Page, gpr: GPR) -> None:
    sentence = "The intervals are too narrow: <b>9 %</b>."
    faulty = {"faults": ["intervals_too_narrow"], "verdict": [sentence, "Only 25 rows."]}

    def change(route: Route) -> None:
        answer = route.fetch()
        found: dict[str, Any] = answer.json()
        found["scores"] |= faulty
        route.fulfill(response=answer, json=found)

    page.route("**/model", change)
    page.route("**/model/diagnostics", change)
    with thrown(page) as errors:
        page.reload()
        wait_drawn(page)
        expect(page.locator("#fault")).to_have_text(sentence)
        look(page)
    expect(page.locator("#verdict .warn")).to_have_text(sentence)
    expect(page.locator("#verdict .sentence")).to_have_text("Only 25 rows.")
    assert errors == []


def test_the_answer_does_not_cover_what_is_below_the_inputs(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 600})
    look(page)
    for below in (".terminal", "#diagnostics"):
        page.evaluate("selector => document.querySelector(selector).scrollIntoView()", below)
        top = page.locator(below).bounding_box()
        answer = page.locator(".answer").bounding_box()
        assert top is not None
        assert answer is not None
        assert answer["y"] + answer["height"] <= top["y"]
