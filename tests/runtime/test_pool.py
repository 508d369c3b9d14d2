"""The CPU limit by cgroup, version 1 and 2, also when it changes."""

from __future__ import annotations

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.gpr import GPR
from service.runtime import pool as tilepool
from service.runtime.pool import TilePool, cpu_limit, threads_for


def v1(folder: Path, quota: int, period: int = 100_000) -> None:
    (folder / "cpu").mkdir(exist_ok=True)
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")


CPUS = float(len(os.sched_getaffinity(0)))


def test_v2(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cpu_limit(tmp_path) == 0.5


def test_v1(tmp_path: Path) -> None:
    v1(tmp_path, 150_000)
    assert cpu_limit(tmp_path) == min(1.5, CPUS)


@pytest.mark.parametrize("text", ["max 100000\n", "nonsense\n"])
def test_no_limit_is_all_cpus(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_limit(tmp_path) == CPUS
    v1(tmp_path, -1)
    assert cpu_limit(tmp_path) == CPUS


def test_the_limit_is_never_above_the_cpus(tmp_path: Path) -> None:
    v1(tmp_path, 10_000_000)
    assert cpu_limit(tmp_path) == CPUS


def test_a_fraction_of_a_cpu_needs_a_thread() -> None:
    assert [threads_for(limit) for limit in (0.1, 0.5, 1.0, 1.2, 2.0, 3.7)] == [1, 1, 1, 1, 2, 4]


def test_the_pool_follows_the_limit_with_the_same_bits(
    gpr: GPR, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1.0
    monkeypatch.setattr(tilepool, "cpu_limit", lambda: limit)
    monkeypatch.setattr(tilepool, "_LIMIT_CHECK_SECONDS", 0.0)
    low, high = gpr.description.training_range.T
    X = np.random.default_rng(5).uniform(low, high, (4 * gpr.large_tile + 13, len(low)))
    want = gpr.predict(X)
    pool = TilePool()
    for limit in (1.0, 3.0, 2.0, 1.0):
        assert np.array_equal(pool.predict(gpr, X, True), want)
        assert pool.width == threads_for(limit)


def test_a_change_of_the_limit_fails_no_request_that_is_being_cut(
    gpr: GPR, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call changes the limit, and so takes the threads away that others are about to use."""
    limits = itertools.cycle((1.0, 2.0, 3.0))
    monkeypatch.setattr(tilepool, "cpu_limit", lambda: next(limits))
    monkeypatch.setattr(tilepool, "_LIMIT_CHECK_SECONDS", 0.0)
    pool, X = TilePool(), gpr.description.points_across(2 * gpr.large_tile)
    want = gpr.predict(X)
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda _: pool.predict(gpr, X, True), range(100)))
    finally:
        sys.setswitchinterval(switching)
    assert all(np.array_equal(P, want) for P in answers)
