"""Processes are killed while jobs are in flight; `make kill-tests` runs all scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.flight import run


@pytest.mark.parametrize("scenario", ["worker, kill -9", "server, kill -9", "Redis, kill -9"])
def test_no_job_is_lost(scenario: str, tmp_path: Path) -> None:
    outcome = run(scenario, tmp_path, count=20)
    assert (outcome.lost, outcome.wrong) == (0, 0)
