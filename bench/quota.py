"""A server on part of a core, as in a pod with a CPU limit; needs the right to make a cgroup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 10_000


@contextmanager
def limited(processes: Iterable[int], cores: float) -> Iterator[None]:
    """Limit the processes to this many cores in total while the block runs.

    Raises
    ------
    OSError
        This user may not make a control group, or this system has none for CPU time.
    """
    root = _ROOT / "cpu" if (_ROOT / "cpu").is_dir() else _ROOT
    group = root / "gpserve-bench"
    group.mkdir(exist_ok=True)
    try:
        _limit(group, round(cores * _PERIOD_MICROSECONDS))
        for process in processes:
            (group / "cgroup.procs").write_text(str(process))
        yield
    finally:
        for remaining in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(remaining)
        group.rmdir()


def _limit(group: Path, quota: int) -> None:
    if (group / "cpu.cfs_quota_us").exists():  # cgroup v1
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
