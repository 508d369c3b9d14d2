"""Processes that are killed while jobs are in flight; `make kill-tests` does all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.jobs.flight import run


@pytest.mark.parametrize("scenario", ["worker, kill -9", "worker, SIGTERM", "server, kill -9",
                                      "Redis, kill -9"])  # fmt: skip
def test_nothing_is_lost(scenario: str, tmp_path: Path) -> None:
    outcome = run(scenario, tmp_path, count=20)
    assert (outcome.lost, outcome.wrong) == (0, 0)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_nothing_is_lost_on_debians_redis(tmp_path: Path) -> None:
    outcome = run("Redis, restart", tmp_path, count=20, debian=True)
    assert (outcome.lost, outcome.wrong) == (0, 0)
