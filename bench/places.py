"""Where the benchmark keeps its environments, models and results, and which cores it uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
RESULTS = BUILD / "results"
DOCS = ROOT / "docs"

_cores = sorted(os.sched_getaffinity(0))
SERVER_CORE = _cores[0]
CLIENT_CORE = _cores[-1]


def python(side: str) -> str:
    """Return the Python interpreter of one side's environment."""
    return str(BUILD / "envs" / side / "bin" / "python")


def pinned(core: int, command: list[str]) -> list[str]:
    """Return the command, limited to one core."""
    return ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def on_client_core() -> Iterator[None]:
    """Run this process on the clients' core while the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
