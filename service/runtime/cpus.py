"""How many CPUs this process may use now: a container's limit can change while it runs."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cpu_limit(cgroup: Path = _CGROUP) -> float:
    """CPUs by the cgroup's quota, v2 or v1, and never more than the affinity allows.

    Kubernetes mounts the container's own cgroup at `cgroup`, so its files stand there directly
    (v2: ``cpu.max``; v1: ``cpu/cpu.cfs_quota_us``).
    """
    quota = _quota_v2(cgroup) or _quota_v1(cgroup / "cpu") or math.inf
    return min(quota, float(len(os.sched_getaffinity(0))))


def threads_for(limit: float) -> int:
    """Computing threads for a limit: a fraction of a CPU still needs one."""
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
