"""A memory limit around a running server, as a pod has it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def resident(pids: Iterable[int]) -> int:
    """Return the memory of processes in bytes, shared pages counted once for each."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def largest(pids: Iterable[int]) -> int:
    """Return the sum of the largest memory that each process ever had, in bytes."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@contextmanager
def limited(pids: list[int], limit: int) -> Iterator[bool]:
    """Kill these processes when their memory exceeds `limit`; yield whether that is possible here.

    What they have already is not charged to a new group, so it is taken off the limit.
    """
    group = _create(limit - resident(pids))
    try:
        if group is not None:
            for pid in pids:
                (group / "cgroup.procs").write_text(str(pid))
        yield group is not None
    finally:
        if group is not None:
            _remove(group, pids)


def _create(limit: int) -> Path | None:
    v1 = _ROOT / "memory"
    group = (v1 if v1.is_dir() else _ROOT) / f"gpserve-{secrets.token_hex(4)}"
    file = "memory.limit_in_bytes" if v1.is_dir() else "memory.max"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        (group / file).write_text(str(limit))
    except OSError:
        group.rmdir()
        return None
    return group


def _remove(group: Path, pids: list[int]) -> None:
    for pid in pids:
        if os.path.exists(f"/proc/{pid}"):
            (group.parent / "cgroup.procs").write_text(str(pid))
    for _ in range(50):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.1)
