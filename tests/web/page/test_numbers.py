"""A number field accepts numbers as people write them, and nothing ambiguous."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Page, expect

from service.gpr import GPR
from tests.web.page.conftest import expect_answer, expected, fields


def test_a_number_from_the_page_can_be_pasted(page: Page, gpr: GPR) -> None:
    end = page.get_by_role("group", name="lat").locator(".ends span").first
    expect(end).to_have_text("−38.59")
    page.evaluate("text => navigator.clipboard.writeText(text)", end.text_content())
    x = fields(page)
    field = page.get_by_role("spinbutton", name="lat")
    field.select_text()
    page.keyboard.press("ControlOrMeta+v")
    x[0] = -38.59
    expect_answer(page, expected(gpr, x))
    field.blur()
    expect(field).to_have_value("-38.59")


WRITTEN = {
    "181,3": 181.3,
    "1,5": 1.5,
    "0,125": 0.125,
    "1234,567": 1234.567,
    " \u2212.5 ": -0.5,
    "+2.": 2.0,
    "1,5e\u22122": 0.015,
}


def test_numbers_as_people_write_them(page: Page, gpr: GPR) -> None:
    field = page.get_by_role("spinbutton", name="long")
    x = fields(page)
    for written, number in WRITTEN.items():
        field.select_text()
        page.keyboard.insert_text(written)
        x[1] = number
        expect_answer(page, expected(gpr, x))
        field.blur()
        expect(field).to_have_value(f"{number:g}" if number < 1000 else str(number))


def test_an_ambiguous_number_is_refused(page: Page) -> None:
    field = page.get_by_role("spinbutton", name="depth")
    hint = page.get_by_text("Enter a number with a decimal point, such as 1.5.")
    for written in ("1,234", "\u221212,345", "1,234.5", "1.234,5", "1,2,3", "12,345e3"):
        field.fill(written)
        expect(hint).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#result")).to_have_class(re.compile("stale"))
        field.blur()
        expect(field).to_have_value(written)
        field.fill("300")
        expect(hint).to_be_hidden()


def test_what_is_not_a_number_is_refused(page: Page) -> None:
    field = page.get_by_role("spinbutton", name="depth")
    hint = page.get_by_text("Enter a number.")
    for written in ("12a", "1 2", "0x10", "1e999", "--1", "Infinity"):
        field.fill(written)
        expect(hint).to_be_visible()
        field.fill("300")
        expect(hint).to_be_hidden()


def test_a_link_with_a_comma(page: Page, gpr: GPR) -> None:
    x = fields(page)
    page.evaluate("location.hash = 'long=181,3&depth=1,234'")
    x[1] = 181.3
    expect_answer(page, expected(gpr, x))
    np.testing.assert_array_equal(fields(page), x)


def test_the_arrows_step(page: Page, gpr: GPR) -> None:
    field = page.get_by_role("spinbutton", name="lat")
    field.fill("-20.2")
    x = fields(page)
    field.press("ArrowUp")
    step = fields(page)[0] - x[0]
    low, high = gpr.description.training_range[0]
    assert (high - low) / 200 <= step <= (high - low) / 80
    expect(field).to_have_js_property("ariaValueNow", field.input_value())
    expect_answer(page, expected(gpr, fields(page)))
    field.press("ArrowDown")
    expect(field).to_have_value("-20.2")
