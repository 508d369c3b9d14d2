"""How soon a process is ready, and its memory while idle."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "Start and idle memory"
RUNS = 7
_IDLE_SECONDS = 1.5


def measure() -> dict[str, Any]:
    """Measure several starts of the service with its bundled model."""
    seconds, megabytes = [], []
    for _ in range(RUNS):
        with running("gpserve", GPSERVE) as server:
            seconds.append(server.seconds_to_ready)
            time.sleep(_IDLE_SECONDS)
            megabytes.append(server.megabytes())
    return {
        "median": median(seconds),
        "best": min(seconds),
        "worst": max(seconds),
        "memory": median(megabytes),
    }


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the targets."""
    start = f"{measured['median']:.2f} s ({measured['best']:.2f} to {measured['worst']:.2f})"
    rows = [
        ["process start to `/readyz` 200 (target 0.5 s)", start],
        ["idle, master and worker together (target 75 MB)", f"{measured['memory']:.0f} MB"],
    ]
    opening = f"The bundled model, one core, median of {RUNS} starts; shared pages counted once."
    return f"{opening}\n\n{table(['', ''], rows)}"
