"""A table that takes too long for one request becomes a job, which the page follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from typing import cast

import pytest
from playwright.sync_api import Page, expect

from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.stack import Stack, stack
from tests.web.page.conftest import record
from tests.web.page.interrupted import interrupting

ROWS = 3000
TABLE = "id,lat,long,depth,stations\n" + 'a,-20,181,500,30\n"b, c",-60,182,90,60\n' * (ROWS // 2)
WAITING = "This takes a while; waiting for a worker …"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every request takes too long for its server, and there is no worker."""
    with stack(tmp_path_factory.mktemp("jobs"), workers=0, max_sync_seconds=0.000_001) as made:
        yield made


@pytest.fixture
def add_worker(jobs: Stack) -> Iterator[Callable[[], object]]:
    """Start the worker when the test wants it; it ends with the test."""
    yield jobs.add_worker
    for worker in jobs.workers:
        worker.end(SIGTERM)


@pytest.fixture
def page(tab: Page, jobs: Stack) -> Iterator[Page]:
    tab.goto(jobs.http)
    tab.locator("#drop").wait_for()  # there is no answer: only tables become jobs
    yield tab
    tab.evaluate("sessionStorage.clear()")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "long.csv"
    path.write_text(TABLE)
    return path


def _newest(jobs: Stack) -> str:
    """The address of the newest job without a key, which the service lists to nobody."""
    [id] = cast(list[bytes], jobs.client().zrevrange("gpserve:owner:anonymous", 0, 0))
    return f"{jobs.http}/jobs/{id.decode()}"


def _remembered(page: Page) -> int:
    """How many things the tab remembers after a reload."""
    return int(page.evaluate("sessionStorage.length"))


def test_a_long_table_is_followed_to_its_answer(
    page: Page, jobs: Stack, table: Path, add_worker: Callable[[], object]
) -> None:
    page.route("**/jobs/*", lambda route: route.abort(), times=1)
    stages = record(page, "stage")
    with page.expect_download() as download:
        page.set_input_files("#file", table)
        expect(page.locator("#stage")).to_have_text(WAITING)
        add_worker()
    target = table.with_name("saved.csv")
    download.value.save_as(target)
    result = plainhttp.get(f"{_newest(jobs)}/results")
    assert target.read_bytes() == result.content
    assert result.content.count(b"\n") == ROWS + 1
    expected = "3,000 rows done; 1,500 outside the training range."
    expect(page.locator("#summary")).to_have_text(expected)
    assert "The server cannot be reached. Is it running, and are you connected?" in stages()


def test_cancelling_dismisses_the_job(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#say-table")).to_have_text("Cancelled")
    job = _newest(jobs)
    until(lambda: plainhttp.get(job).json()["status"] == "dismissed")
    assert _remembered(page) == 0


def test_the_page_says_why_a_job_has_no_result(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    plainhttp.delete(_newest(jobs))
    expect(page.locator("#table-problem")).to_contain_text("the job was dismissed")
    expect(page.locator("#work")).to_be_hidden()
    assert _remembered(page) == 0


def test_a_reloaded_tab_follows_its_job_again(
    page: Page, jobs: Stack, table: Path, add_worker: Callable[[], object]
) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    page.reload()
    expect(page.locator("#stage")).to_have_text(WAITING)
    with page.expect_download() as download:
        add_worker()
    assert download.value.suggested_filename == "long-predicted.csv"
    target = table.with_name("saved.csv")
    download.value.save_as(target)
    result = plainhttp.get(f"{_newest(jobs)}/results")
    assert target.read_bytes() == result.content
    assert _remembered(page) == 0


def test_an_interrupted_result_is_fetched_again(
    page: Page, jobs: Stack, table: Path, add_worker: Callable[[], object]
) -> None:
    results = re.compile("/jobs/[^/]+/results$")
    with interrupting() as server:
        page.route(results, lambda route: route.continue_(url=server.url))
        page.set_input_files("#file", table)
        expect(page.locator("#stage")).to_have_text(WAITING)
        add_worker()
        expect(page.locator("#stage")).to_have_text("2 of 3,000 rows")
        server.stop.set()
        problem = page.locator("#table-problem")
        expect(problem).to_contain_text("The connection was lost after 2 rows of the answer.")
        expect(problem).to_contain_text("Reload the page")
    page.unroute(results)
    with page.expect_download() as download:
        page.reload()
    target = table.with_name("saved.csv")
    download.value.save_as(target)
    result = plainhttp.get(f"{_newest(jobs)}/results")
    assert target.read_bytes() == result.content
    assert _remembered(page) == 0


def test_a_job_that_ended_while_the_tab_was_closed(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    page.goto("about:blank")
    plainhttp.delete(_newest(jobs))
    page.goto(jobs.http)
    expect(page.locator("#table-problem")).to_contain_text("the job was dismissed")
    page.reload()
    page.locator("#drop").wait_for()
    expect(page.locator("#table-problem")).to_be_hidden()
