"""The model's own rate beside GPy's, and its share of the core's rate in matrix products."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from bench.places import ROOT, SERVER_CORE, pinned, python
from bench.tables import table

TITLE = "The model alone"
SIZES = (500, 2000)
CALLS = (1, 8, 1000, 1024)
ROUNDS = 3
SECONDS = 2.0


def bare(side: str, size: int, calls: Sequence[int], seconds: float) -> dict[str, float]:
    """Return the rates from bare.py on the server's core, in the environment of `side`."""
    command = [python(side), "-m", "bench.bare", str(size), str(seconds), *map(str, calls)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        pinned(SERVER_CORE, command),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def measure() -> dict[str, Any]:
    """Return the best rates of several rounds."""
    measured = {}
    for size in SIZES:
        rounds = [bare("train", size, CALLS, SECONDS) for _ in range(ROUNDS)]
        measured[str(size)] = {key: max(rates[key] for rates in rounds) for key in rounds[0]}
    return measured


def markdown(measured: dict[str, Any]) -> str:
    """Return the rates for each number of points per call."""
    rows = []
    for size, rates in measured.items():
        for key, rate in rates.items():
            side, _, points = key.partition(" ")
            if side != "gpserve":
                continue
            gpy = rates.get(f"GPy {points}")
            # The product with a lower triangle takes N² operations per point.
            share = rate * int(size) ** 2 / rates["flops"]
            rows.append(
                [
                    size,
                    points,
                    f"{rate:,.0f}",
                    f"{gpy:,.0f}" if gpy else "",
                    f"{rate / gpy:.2f}" if gpy else "",
                    f"{share:.0%}",
                ]
            )
    head = ["N", "points per call", "gpserve, points/s", "GPy, points/s", "ratio", "share of core"]
    peak = max(rates["flops"] for rates in measured.values())
    return "\n\n".join(
        [
            "Best of several turns on one core by CPU time, without HTTP. The share is of the "
            f"core's rate in a square matrix product ({peak / 1e9:.0f} GFLOP/s), counting only "
            "the N² operations per point of the triangular product. The target at "
            "N = 2000 is 1.25 times GPy.",
            table(head, rows),
        ]
    )
