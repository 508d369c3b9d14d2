"""Accessibility: keyboard, screen reader, contrast, narrow screens, large letters, plain words."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from service.gpr import GPR
from tests.helpers.patience import PATIENCE_SECONDS
from tests.web.page.conftest import expect_answer, expected, fields, shown

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus, and check that the focus is visible."""
    page.locator("body").press("Tab")
    for _ in range(40):
        focused: dict[str, Any] = page.evaluate(
            """s => ({ reached: document.activeElement.matches(s), outline:
                getComputedStyle(document.activeElement).outlineStyle })""",
            selector,
        )
        if focused["reached"]:
            assert focused["outline"] != "none", selector
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


def test_the_inputs_work_by_keyboard(page: Page, gpr: GPR) -> None:
    _tab_to(page, "[type=range]")
    before = fields(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("170.5")
    after = fields(page)
    assert after[0] > before[0]
    assert after[1] == 170.5
    expect_answer(page, expected(gpr, after))
    expect(page.locator("#say")).to_contain_text(f"{expected(gpr, after)[0]:.3f}")
    _tab_to(page, "#middle")
    page.keyboard.press("Enter")
    assert fields(page).tolist() == before.tolist()


def test_a_file_is_chosen_and_saved_by_keyboard(page: Page, tmp_path: Path) -> None:
    table = tmp_path / "two.csv"
    table.write_text("lat,long,depth,stations\n-20,181,500,30\n-21,182,90,60\n")
    with page.expect_file_chooser() as chooser:
        page.locator("#file").focus()
        page.keyboard.press("Enter")
    with page.expect_download():
        chooser.value.set_files(table)
    _tab_to(page, "#save")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "two-predicted.csv"


def test_everything_has_a_name(page: Page, names: tuple[str, ...]) -> None:
    for name in names:
        expect(page.get_by_role("spinbutton", name=name, exact=True)).to_have_count(1)
        expect(page.get_by_role("slider", name=f"{name}, slider")).to_have_count(1)
        expect(page.get_by_role("img", name=f"Mean along {name}")).to_have_count(1)
    unnamed: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("input")].filter(i =>
            !i.labels.length && !i.ariaLabel).map(i => i.outerHTML)"""
    )
    assert unnamed == []


def test_contrast(page: Page) -> None:
    """Every text has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    page.locator("#diagnostics").scroll_into_view_if_needed()
    expect(page.locator("#diagnosed")).to_be_visible()
    page.get_by_role("spinbutton", name="lat").fill("-50")
    expect(page.locator(".beyond")).to_be_visible()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        measured: dict[str, Any] = page.evaluate(CONTRAST)
        assert measured["texts"] > 30
        assert measured["weak"] == []
        assert (measured["paper"] > 0.5) == (scheme == "light")


def test_no_width_scrolls_sideways(page: Page, tmp_path: Path) -> None:
    table = tmp_path / f"{'long' * 20}.csv"
    table.write_text("lat,long,depth,stations\n-20,181,500,30\n")
    page.evaluate("location.hash = 'lat=-1234567.890123&long=-1234567.890123'")
    expect(page.locator(".beyond")).to_have_count(2)
    page.set_input_files("#file", table)
    expect(page.locator("#preview")).to_be_visible()
    page.locator("#diagnostics").scroll_into_view_if_needed()
    expect(page.locator("#diagnosed")).to_be_visible()
    for width in (768, 390, 320):
        _resize(page, width)
        assert _content_width(page) == width


def _resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})


def _content_width(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_no_word_is_broken(page: Page) -> None:
    """Names and headings fit the narrowest phone, and letters of double size (WCAG 1.4.4)."""
    for width, size in ((320, "100%"), (320, "200%"), (640, "200%")):
        _resize(page, width)
        page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        assert page.evaluate(_BROKEN) == []
        assert _content_width(page) == width


# A word that is broken over two lines has two boxes.
_BROKEN = """() => {
    const broken = [];
    for (const { firstChild: text } of document.querySelectorAll("h1, h2, h3, .head label")) {
        for (const { 0: word, index } of text?.data.matchAll(/\\S+/g) ?? []) {
            const range = document.createRange();
            range.setStart(text, index);
            range.setEnd(text, index + word.length);
            if (range.getClientRects().length > 1) broken.push(word);
        }
    }
    return broken;
}"""


def test_a_track_is_visible_with_forced_colours(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    slider = page.get_by_role("slider").first
    slider.press("End")  # the thumb is at the right, outside the part that is checked
    picture = np.asarray(Image.open(BytesIO(slider.screenshot())).convert("L"))
    width = picture.shape[1]
    assert np.ptp(picture[:, width // 4 : width // 2]) > 128


def test_on_a_phone_the_answer_stays_in_view(page: Page) -> None:
    _resize(page, 390)
    page.get_by_role("slider").last.scroll_into_view_if_needed()
    expect(page.locator("#mean")).to_be_in_viewport()


def test_the_copied_command_returns_what_the_page_shows(page: Page, gpr: GPR) -> None:
    page.get_by_role("spinbutton", name="lat").fill("-31.5")
    expect_answer(page, expected(gpr, fields(page)))
    page.get_by_role("button", name="Copy").click()
    command: str = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert [answer[k] for k in ("mean", "lower", "upper")] == pytest.approx(shown(page), rel=1e-9)


def test_the_model_and_its_quality_are_described(page: Page, gpr: GPR) -> None:
    d = gpr.description
    expect(page.get_by_role("heading", level=1)).to_have_text(d.name)
    expect(page.locator("#origin")).to_contain_text(f"Version {d.version}")
    expect(page.locator("#origin")).to_contain_text(f"{d.training_points} points")
    scores = d.scores["leave_one_out"]
    expect(page.locator("#scores")).to_contain_text(f"{scores['rmse']:.3f}")
    expect(page.locator("#scores")).to_contain_text(f"{100 * scores['coverage_95']:.1f} %")
    expect(page.locator("#fault")).to_be_hidden()
