"""The focus stays near the person's place when its element disappears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from service.gpr import GPR
from tests.helpers import plainhttp
from tests.helpers.serving import Server
from tests.web.page.conftest import expect_answer, expected, fields, wait_until


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "one.csv"
    path.write_text("lat,long,depth,stations\n-20,181,500,30\n")
    return path


def _hold(page: Page, url: str) -> list[Route]:
    held: list[Route] = []
    page.route(url, lambda route: held.append(route))
    return held


def _send_held(page: Page, table: Path, focused: str) -> Route:
    """Send a table, hold its answer back, and focus an element."""
    held = _hold(page, "**/predict?*")
    page.set_input_files("#file", table)
    wait_until(page, lambda: held != [])
    page.locator(focused).first.focus()
    return held[0]


def test_after_cancel_the_file_field_has_the_focus(page: Page, table: Path) -> None:
    _send_held(page, table, "#cancel")
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#file")).to_be_focused()


def test_after_a_failure_the_file_field_has_the_focus(page: Page, table: Path) -> None:
    _send_held(page, table, "#cancel").abort()
    expect(page.locator("#table-problem")).to_be_visible()
    expect(page.locator("#file")).to_be_focused()


def test_after_success_the_save_link_has_the_focus(page: Page, table: Path) -> None:
    with page.expect_download():
        _send_held(page, table, "#cancel").continue_()
    expect(page.locator("#save")).to_be_focused()
    _send_held(page, table, "#cancel")
    page.locator("#done").wait_for(state="hidden")


def test_a_new_table_moves_the_focus_from_the_old_answer(page: Page, table: Path) -> None:
    with page.expect_download():
        page.set_input_files("#file", table)
    page.locator("#save").focus()
    _hold(page, "**/predict?*")
    page.set_input_files("#file", table)
    expect(page.locator("#done")).to_be_hidden()
    expect(page.locator("#cancel")).to_be_focused()


def test_the_focus_elsewhere_stays(page: Page, table: Path) -> None:
    with page.expect_download():
        _send_held(page, table, ".number").continue_()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator(".number").first).to_be_focused()


@pytest.fixture
def behind(tab: Page, site: Server) -> Page:
    """The page with an older model, which has one more input, until `_catch_up`."""
    old: dict[str, Any] = plainhttp.get(f"{site.url}/model").json() | {"version": "000000000000"}
    old["feature_names"] = [*old["feature_names"], "width"]
    old["training_range"] = {**old["training_range"], "width": [0.0, 1.0]}
    tab.route("**/model", lambda route: route.fulfill(json=old), times=1)
    tab.route("**/predict", lambda route: route.abort())
    tab.goto(site.url)
    expect(tab.locator("#problem")).to_be_visible()
    return tab


def _catch_up(page: Page, gpr: GPR) -> None:
    """Let the server refuse a question for the older model; the page then asks for the new one."""
    page.unroute("**/predict")
    expect(page.locator("#origin")).to_contain_text(gpr.description.version)


def test_typing_continues_when_a_new_version_arrives(behind: Page, gpr: GPR) -> None:
    field = behind.get_by_role("spinbutton", name="lat")
    field.fill("-20,")
    _catch_up(behind, gpr)
    expect(field).to_be_focused()
    expect(field).to_have_value("-20,")
    behind.keyboard.press("End")
    behind.keyboard.type("5")
    expect(field).to_have_value("-20,5")
    field.blur()
    expect_answer(behind, expected(gpr, fields(behind)))
    assert fields(behind)[0] == -20.5


def test_sliding_continues_when_a_new_version_arrives(behind: Page, gpr: GPR) -> None:
    slider = behind.get_by_role("slider", name="depth")
    slider.press("Home")
    _catch_up(behind, gpr)
    expect(slider).to_be_focused()
    behind.keyboard.press("End")
    expect_answer(behind, expected(gpr, fields(behind)))
    assert fields(behind)[2] == gpr.description.training_range[2, 1]


def test_the_focus_of_a_removed_input_moves_to_the_button_beside(behind: Page, gpr: GPR) -> None:
    behind.get_by_role("spinbutton", name="width").focus()
    _catch_up(behind, gpr)
    expect(behind.get_by_role("button", name="Back to the middle")).to_be_focused()
