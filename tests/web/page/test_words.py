"""A categorical feature is a choice of words; links and tables have the words."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.serving import Server, serving
from tests.helpers.toys import CYLINDERS, GEARS
from tests.web.page.conftest import requested, shown, thrown, wait_drawn, wait_until


@pytest.fixture(scope="module")
def garage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    model = "tests.helpers.toys:Cars"
    with serving(tmp_path_factory.mktemp("words"), model_class=model) as running:
        yield running


@pytest.fixture
def page(tab: Page, garage: Server) -> Iterator[Page]:
    """The page of a model with two categorical features, ready."""
    with requested(tab) as urls, thrown(tab) as errors:
        tab.goto(garage.url)
        wait_drawn(tab)
        yield tab
    assert errors == []
    assert [url for url in urls if not url.startswith((f"{garage.url}/", "blob:", "data:"))] == []


def expect_mean(page: Page, mean: float) -> None:
    wait_until(page, lambda: shown(page)[0] == mean)
    assert shown(page)[0] == mean


def test_choosing_words_changes_the_answer(page: Page) -> None:
    gear, cyl = page.get_by_label("gear"), page.get_by_label("cyl")
    expect(gear.locator("option")).to_have_text(GEARS)
    expect(cyl.locator("option")).to_have_text(CYLINDERS)
    expect_mean(page, 3)
    page.get_by_role("combobox", name="gear").select_option(GEARS[1])
    expect_mean(page, 103)
    page.get_by_role("combobox", name="cyl").press("ArrowDown")
    expect_mean(page, 113)
    plot = page.locator(".plot").last
    expect(plot).to_have_attribute(
        "aria-label", "Mean for each cyl: 103.00 for 4, 113.00 for 6, 123.00 for 8"
    )
    expect(plot.locator(".dot")).to_have_count(3)
    expect(plot.locator("text", has_text="6")).to_be_visible()
    expect(page.locator("#outside")).to_be_hidden()
    page.get_by_role("button", name="Back to the middle").click()
    expect_mean(page, 3)


def test_a_link_has_the_words(page: Page, garage: Server) -> None:
    page.get_by_role("combobox", name="gear").select_option(GEARS[1])
    wait_until(page, lambda: quote(GEARS[1]) in page.url)
    expect(page.locator("#curl")).to_contain_text(f"gear={quote(GEARS[1])}&wt=3&cyl=4")
    page.goto("about:blank")
    page.goto(f"{garage.url}/#gear={quote(GEARS[1])}&cyl=8&wt=2,5")
    expect_mean(page, 122.5)
    page.evaluate("location.hash = 'gear=stick&cyl=6'")
    expect_mean(page, 112.5)


def test_the_example_table_has_words(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.locator("#example").click()
    path = tmp_path / "example.csv"
    download.value.save_as(path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert {row["gear"] for row in rows} <= set(GEARS)
    with page.expect_download() as download:
        page.set_input_files("#file", path)
    answers = tmp_path / "answers.csv"
    download.value.save_as(answers)
    for row in csv.DictReader(answers.read_text().splitlines()):
        code = 100 * GEARS.index(row["gear"]) + 10 * CYLINDERS.index(row["cyl"])
        assert float(row["mean"]) == pytest.approx(code + float(row["wt"]))
