"""Processes are killed while jobs are in flight; `make kill-tests` runs all scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.flight import run
from tests.worker.powercut import why_impossible
from tests.worker.scenarios import POWER_CUT


@pytest.mark.parametrize("scenario", ["worker, kill -9", "server, kill -9", "Redis, kill -9"])
def test_no_job_is_lost(scenario: str, tmp_path: Path) -> None:
    outcome = run(scenario, tmp_path, count=20)
    assert (outcome.lost, outcome.wrong) == (0, 0)


@pytest.mark.skipif(bool(why_impossible()), reason=why_impossible())
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    outcome = run(POWER_CUT, tmp_path, count=20)
    assert (outcome.lost, outcome.wrong) == (0, 0)
