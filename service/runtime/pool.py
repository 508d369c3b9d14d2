"""Predictions of large arrays on all CPUs: each thread takes a range of rows."""

from __future__ import annotations

import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from service.model import FloatArray, Model
from service.services.chunks import row_ranges

_CGROUP = Path("/sys/fs/cgroup")


def cpu_limit(cgroup: Path = _CGROUP) -> float:
    """Return the CPUs that the cgroup's quota (v2 or v1) and the affinity allow.

    Kubernetes mounts the container's own cgroup at `cgroup`, so its files are directly in it
    (v2: ``cpu.max``; v1: ``cpu/cpu.cfs_quota_us``).
    """
    quota = _quota_v2(cgroup) or _quota_v1(cgroup / "cpu") or math.inf
    return min(quota, float(len(os.sched_getaffinity(0))))


def threads_for(limit: float) -> int:
    """Return the number of computing threads for a CPU limit; a fraction of a CPU needs one."""
    return max(1, round(limit))


def _quota_v2(cgroup: Path) -> float | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(cgroup: Path) -> float | None:
    try:
        quota = int((cgroup / "cpu.cfs_quota_us").read_text())
        period = int((cgroup / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return None if quota <= 0 else quota / period


NICENESS = 10
_LIMIT_CHECK_SECONDS = 1.0


def yield_priority() -> None:
    """Lower this thread's priority, so that small requests go first; on Linux each has its own."""
    with suppress(OSError):  # where a sandbox forbids it, only latency suffers
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class TilePool:
    """Threads for large predictions, as many as the CPU limit allows now.

    BLAS itself runs on one thread: ranges in parallel scale better than split products.

    Attributes
    ----------
    width : the number of threads in use
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.width = 0
        self._checked = -_LIMIT_CHECK_SECONDS
        self._executor: ThreadPoolExecutor | None = None

    def predict(self, model: Model, X: FloatArray, noise: bool) -> FloatArray:
        """Return mean and variance, shape (n, 2), with the same bits as `model.predict`."""
        with self._lock:  # so that nobody shuts the executor down before it has all parts
            executor = self._current()
            cuts = _cuts(len(X), self.width, model.large_tile)
            parts = [executor.submit(model.predict, X[a:b], noise=noise) for a, b in cuts]
        if len(parts) == 1:
            return parts[0].result()
        return np.concatenate([part.result() for part in parts])

    def _current(self) -> ThreadPoolExecutor:
        now = time.monotonic()
        if now - self._checked >= _LIMIT_CHECK_SECONDS:
            self._checked = now
            self._resize(threads_for(cpu_limit()))
        assert self._executor is not None
        return self._executor

    def _resize(self, width: int) -> None:
        if width == self.width:
            return
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        self.width = width
        self._executor = ThreadPoolExecutor(width, "tiles", initializer=yield_priority)


def _cuts(n: int, width: int, tile: int) -> list[tuple[int, int]]:
    """Cut n rows into at most `width` ranges, at multiples of `tile`, and none shorter.

    So NumPy's way gives the bits of the whole array, too.
    """
    step = max(1, -(-(n // tile) // width)) * tile
    return list(row_ranges(n, step))
