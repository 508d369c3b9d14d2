"""What a key costs: the check on the event loop, and a key whose requests are counted."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench import wrk
from bench.keycheck import KEYS, REPEATS, write_keys
from bench.places import ROOT, SERVER_CORE, pinned, python
from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "Keys"
ROUNDS = 5
SECONDS = 3


def measure() -> dict[str, Any]:
    """Measure the check alone, and the CPU time of whole requests in interleaved rounds."""
    command = pinned(SERVER_CORE, [python("gpserve"), "-m", "bench.keycheck"])
    alone = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.toml"
        headers = write_keys(file)
        rounds: dict[str, list[float]] = {name: [] for name in headers}
        with running("gpserve", GPSERVE, 500, environment={"GPSERVE_KEYS": str(file)}) as server:
            for _ in range(ROUNDS):
                for name, header in headers.items():
                    load = wrk.load(server, 16, SECONDS, authorization=header)
                    rounds[name].append(load.cpu * 1e6)
    return {"check": json.loads(alone.stdout), "request": {n: median(s) for n, s in rounds.items()}}


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the target."""
    alone = {name: f"{us:.2f} µs" for name, us in measured["check"].items()}
    rows = [[name, alone.get(name, ""), f"{us:.0f} µs"] for name, us in measured["request"].items()]
    opening = (
        f"A file of {KEYS} keys. The check alone is the least of {REPEATS} timings (target 5 µs). "
        f"Requests have one point, N = 500, 16 connections, median of {ROUNDS} interleaved rounds; "
        "those of a key with a limit are counted, here without Redis, and answered by Flask."
    )
    return f"{opening}\n\n{table(['caller', 'check', 'CPU per request'], rows)}"
