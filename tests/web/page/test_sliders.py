"""Sliders, number fields and links: the page shows the model's answer."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Page, Route, expect

from service.gpr import GPR
from tests.helpers.serving import Server
from tests.web.page.conftest import expect_answer, expected, fields, middle, wait_until

NAMES = ("lat", "long", "depth", "stations")


def test_first_it_shows_the_middle_of_the_training_range(page: Page, gpr: GPR) -> None:
    low, high = gpr.description.training_range.T
    assert np.all(np.abs(fields(page) - middle(gpr)) <= (high - low) / 100)
    expect_answer(page, expected(gpr, fields(page)))


def test_a_moved_slider_changes_the_answer(page: Page, gpr: GPR) -> None:
    before = fields(page)
    for slider in page.get_by_role("slider").all():
        box = slider.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=2)
        page.mouse.up()
    after = fields(page)
    low, high = gpr.description.training_range.T
    assert np.all(after > before)
    np.testing.assert_allclose((after - low) / (high - low), 0.8, atol=0.03)
    expect_answer(page, expected(gpr, after))
    expect(page.locator("#mean")).to_have_text(f"{expected(gpr, after)[0]:.3f}")


def test_the_slider_reaches_both_ends_of_the_range(page: Page, gpr: GPR) -> None:
    for key, end in (("Home", 0), ("End", 1)):
        for slider in page.get_by_role("slider").all():
            slider.press(key)
        assert fields(page).tolist() == gpr.description.training_range[:, end].tolist()
        expect(page.locator("#outside")).to_be_hidden()


def test_the_plot_runs_along_its_feature(page: Page, gpr: GPR) -> None:
    x = fields(page)
    for j, (low, high) in enumerate(gpr.description.training_range.tolist()):
        ends = np.tile(x, (2, 1))
        ends[:, j] = low, high
        at = [f"{mean:.3f}" for mean in gpr.predict(ends)[:, 0]]
        name = gpr.description.feature_names[j]
        label = re.compile(f"Mean along {name}: {at[0]} at .*, {at[1]} at ")
        expect(page.locator(".plot").nth(j)).to_have_attribute("aria-label", label)


def test_the_band_of_the_mean_leaves_the_noise_out(page: Page, gpr: GPR) -> None:
    page.get_by_label("the true mean, without noise").check()
    expect_answer(page, expected(gpr, fields(page), noise=False))
    expect(page.locator("#curl")).to_contain_text("noise=false")


def test_outside_the_training_range_it_warns(page: Page, gpr: GPR) -> None:
    field = page.get_by_role("spinbutton", name="lat")
    field.fill("-50")
    warning = page.locator("#outside")
    expect(warning).to_be_visible()
    expect(warning).to_contain_text("Outside the training range in lat")
    expect(page.get_by_text("Outside the training range: −38.59 to −10.78.")).to_be_visible()
    expect_answer(page, expected(gpr, fields(page)))
    expect(page.locator(".beyond")).to_have_count(1)
    expect(page.locator("#say")).to_contain_text("Outside")
    page.get_by_role("button", name="Back to the middle").click()
    expect(warning).to_be_hidden()
    expect(page.locator(".beyond")).to_have_count(0)
    expect_answer(page, expected(gpr, fields(page)))


def test_a_field_without_a_number_says_so(page: Page) -> None:
    field = page.get_by_role("spinbutton", name="depth")
    for text in ("", "-", "1e"):
        field.fill("")
        field.press_sequentially(text)
        expect(page.get_by_text("Enter a number.")).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#result")).to_have_class(re.compile("stale"))
        field.fill("300")
        expect(page.get_by_text("Enter a number.")).to_be_hidden()
        expect(page.locator("#result")).not_to_have_class(re.compile("stale"))


def test_one_request_at_a_time_and_the_newest_wins(page: Page, gpr: GPR) -> None:
    asked: list[Route] = []
    page.route("**/predict", lambda route: asked.append(route))
    field = page.get_by_role("spinbutton", name="depth")
    for value in (100, 200, 300, 400):
        field.fill(str(value))
        page.wait_for_timeout(100)
    wait_until(page, lambda: len(asked) > 0)
    assert len(asked) == 1
    asked[0].continue_()
    wait_until(page, lambda: len(asked) > 1)
    asked[1].continue_()
    expect_answer(page, expected(gpr, fields(page)))


def test_a_late_answer_is_dropped(page: Page) -> None:
    asked: list[Route] = []
    page.route("**/predict", lambda route: asked.append(route))
    field = page.get_by_role("spinbutton", name="depth")
    before = page.locator("#mean").get_attribute("value")
    with page.expect_request("**/predict"):
        field.fill("100")
    field.fill("")
    asked[0].continue_()
    page.wait_for_timeout(300)
    assert page.locator("#mean").get_attribute("value") == before
    expect(page.locator("#result")).to_have_class(re.compile("stale"))


def test_the_address_keeps_the_point(page: Page, gpr: GPR, site: Server) -> None:
    page.get_by_role("spinbutton", name="lat").fill("-20.25")
    x = fields(page)
    expect_answer(page, expected(gpr, x))
    assert "lat=-20.25" in page.url
    with page.context.new_page() as other:
        other.goto(page.url)
        expect_answer(other, expected(gpr, x))


def test_the_address_keeps_the_band(page: Page, gpr: GPR) -> None:
    page.get_by_label("the true mean, without noise").check()
    without = expected(gpr, fields(page), noise=False)
    expect_answer(page, without)
    page.reload()
    expect_answer(page, without)
    expect(page.locator("#curl")).to_contain_text("noise=false")
    with page.context.new_page() as colleague:
        colleague.goto(page.url)
        expect_answer(colleague, without)
        expect(colleague.get_by_label("the true mean, without noise")).to_be_checked()


def test_a_link_in_the_same_tab_chooses_the_band(page: Page, gpr: GPR) -> None:
    first = page.url.partition("#")[2]
    page.evaluate("hash => { location.hash = hash }", f"{first}&noise=false")
    expect_answer(page, expected(gpr, fields(page), noise=False))
    expect(page.get_by_label("the true mean, without noise")).to_be_checked()
    page.evaluate("hash => { location.hash = hash }", first)
    expect_answer(page, expected(gpr, fields(page)))
    expect(page.get_by_label("new observations")).to_be_checked()


def test_a_link_that_is_opened_in_the_same_tab(page: Page, gpr: GPR) -> None:
    point = np.array([-21.0, 181.5, 500.0, 30.0])
    hash = "&".join(f"{name}={value}" for name, value in zip(NAMES, point, strict=True))
    page.evaluate("hash => { location.hash = hash }", hash)
    expect_answer(page, expected(gpr, point))
    np.testing.assert_array_equal(fields(page), point)
    page.evaluate("location.hash = 'depth=90'")
    expect_answer(page, expected(gpr, np.array([-21.0, 181.5, 90.0, 30.0])))
