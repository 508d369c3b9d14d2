"""A table that takes longer than one request may is a job, and the page follows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM

import pytest
from playwright.sync_api import Page, expect

from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.stack import Stack, stack
from tests.web.page.breakingoff import breaking
from tests.web.page.conftest import record

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
    tab.locator("#drop").wait_for()  # its sliders are refused: they are no table
    yield tab
    tab.evaluate("sessionStorage.clear()")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "long.csv"
    path.write_text(TABLE)
    return path


def _newest(jobs: Stack) -> str:
    """The address of the test's job."""
    [job] = plainhttp.get(f"{jobs.http}/jobs?limit=1").json()["jobs"]
    return f"{jobs.http}/jobs/{job['jobID']}"


def _kept(page: Page) -> int:
    """How much the tab would remember after a reload."""
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
    expected = "3,000 rows predicted; 1,500 outside the training range."
    expect(page.locator("#summary")).to_have_text(expected)
    assert "The server cannot be reached. Is it running, and are you connected?" in stages()


def test_cancel_dismisses_the_job(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#say-table")).to_have_text("Cancelled")
    job = _newest(jobs)
    until(lambda: plainhttp.get(job).json()["status"] == "dismissed")
    assert _kept(page) == 0


def test_a_job_without_a_result_says_why(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    plainhttp.delete(_newest(jobs))
    expect(page.locator("#table-problem")).to_contain_text("the job was dismissed")
    expect(page.locator("#work")).to_be_hidden()
    assert _kept(page) == 0


def test_a_reloaded_tab_goes_on_with_its_job(
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
    assert _kept(page) == 0


def test_a_jobs_answer_that_broke_off_is_fetched_again(
    page: Page, jobs: Stack, table: Path, add_worker: Callable[[], object]
) -> None:
    results = re.compile("/jobs/[^/]+/results$")
    with breaking() as server:
        page.route(results, lambda route: route.continue_(url=server.url))
        page.set_input_files("#file", table)
        expect(page.locator("#stage")).to_have_text(WAITING)
        add_worker()
        expect(page.locator("#stage")).to_have_text("2 of 3,000 rows")
        server.broken.set()
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
    assert _kept(page) == 0


def test_a_job_that_ended_while_nobody_looked(page: Page, jobs: Stack, table: Path) -> None:
    page.set_input_files("#file", table)
    expect(page.locator("#stage")).to_have_text(WAITING)
    page.goto("about:blank")
    plainhttp.delete(_newest(jobs))
    page.goto(jobs.http)
    expect(page.locator("#table-problem")).to_contain_text("the job was dismissed")
    page.reload()
    page.locator("#drop").wait_for()
    expect(page.locator("#table-problem")).to_be_hidden()
