"""Takes the pictures of docs/webpage.md: `python -m tests.web.page.screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect

from tests.helpers.serving import ROOT, serving
from tests.web.page.browser import chromium, new_window

IMAGES = ROOT / "docs" / "images"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
OUTSIDE = "#lat=-45&long=181&depth=562&stations=41"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def take(browser: Browser, url: str, folder: Path, point: str = "", suffix: str = "") -> None:
    """Take a picture of each size in each colour scheme."""
    for name, (width, height) in SIZES.items():
        for scheme in SCHEMES:
            with new_window(
                browser,
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                device_scale_factor=1 if name == "desktop" else 2,
            ) as window:
                page = window.new_page()
                page.goto(f"{url}/{point}")
                _wait_settled(page)
                page.screenshot(path=folder / f"page-{name}-{scheme}{suffix}.png")


def take_quality(browser: Browser, url: str, folder: Path) -> None:
    """Take a picture of the section on the model's quality: the plots, and on a phone the first."""
    for name, (width, height) in {"desktop": (1280, 1320), "phone": SIZES["phone"]}.items():
        for scheme in SCHEMES:
            with new_window(
                browser,
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                device_scale_factor=1 if name == "desktop" else 2,
            ) as window:
                page = window.new_page()
                page.goto(url)
                page.locator("#diagnostics").scroll_into_view_if_needed()
                expect(page.locator("#diagnosed")).to_be_visible()
                page.evaluate("document.getElementById('diagnostics').scrollIntoView()")
                _wait_settled(page)
                page.screenshot(path=folder / f"page-{name}-{scheme}-quality.png")


def _wait_settled(page: Page) -> None:
    """Wait until the answer is announced: the axis fits by then, and nothing moves any more."""
    expect(page.locator("#say")).not_to_be_empty()


def main(folder: Path) -> None:
    """Take all pictures, and write them to a folder."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        serving(Path(temporary)) as server,
        chromium() as browser,
    ):
        take(browser, server.url, folder)
        take(browser, server.url, folder, OUTSIDE, "-outside")
        take_quality(browser, server.url, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
