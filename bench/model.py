"""The model's own rate beside GPy's and scikit-learn's, and its share of the core's rate."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from bench.places import ROOT, SERVER_CORE, pinned, python
from bench.tables import table

TITLE = "The model alone"
SIDES = ("gpserve", "GPy", "scikit-learn")
PICTURE = "benchmarks-model.png"
SIZES = (100, 500, 1000, 2000, 4000)
CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 255, 256, 512, 1024, 2048, 4096)
SHOWN = (1, 16, 256, 4096)
SECONDS = 1.0


def bare(side: str, size: int, calls: Sequence[int], seconds: float) -> dict[str, Any]:
    """Return the rates from bare.py on the server's core, in the environment of `side`."""
    command = [python(side), "-m", "bench.bare", str(size), str(seconds), *map(str, calls)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        pinned(SERVER_CORE, command),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rates: dict[str, Any] = json.loads(done.stdout)
    return rates


def measure() -> dict[str, Any]:
    """Return the best rates of several turns, for every size of a model and of an array."""
    return {str(size): bare("toolkits", size, CALLS, SECONDS) for size in SIZES}


def markdown(measured: dict[str, Any]) -> str:
    """Return the rates for each number of points per call."""
    rows = []
    for size, rates in measured.items():
        for points in CALLS:
            ours, gpy, sklearn = (rates[f"{side} {points}"] for side in SIDES)
            # The product with a lower triangle takes N² operations per point.
            share = ours * int(size) ** 2 / rates["flops"]
            numbers = [f"{rate:,.0f}" for rate in (ours, gpy, sklearn)]
            ratios = [f"{ours / gpy:.2f}", f"{ours / sklearn:.2f}", f"{share:.0%}"]
            rows.append([size, f"{points}", *numbers, *ratios])
    head = ["N", "points per call", *(f"{side}, points/s" for side in SIDES)]
    head += ["times GPy", "times scikit-learn", "share of core"]
    lowest = min(rows, key=lambda row: float(row[5]))
    call = "one point" if lowest[1] == "1" else f"{lowest[1]} points"
    bound = measured[lowest[0]]["reads"] * int(lowest[1])
    bound /= measured[lowest[0]][f"GPy {lowest[1]}"]
    many = min(float(row[7][:-1]) for row in rows if row[0] == "2000" and int(row[1]) >= 256)
    peak = max(rates["flops"] for rates in measured.values())
    at_2000 = measured["2000"]
    reads = at_2000["reads"] / at_2000["gpserve 1"]
    return "\n\n".join(
        [
            "Best of several turns on one core by CPU time, one thread, without HTTP; the model is "
            f"{at_2000['by']}. The share is of the core's rate in NumPy's square matrix product "
            f"({peak / 1e9:.0f} GFLOP/s), counting only the N² operations per point of the "
            "triangular product; it may be above 100 %, for the kernel does not use NumPy's.",
            table(head, [row for row in rows if int(row[1]) in SHOWN]),
            f"![points per second by points per call]({PICTURE})",
            f"<details><summary>All {len(rows)} rows</summary>",
            table(head, rows),
            "</details>",
            f"The smallest ratio to GPy is {lowest[5]} (target 1.25), at N = {lowest[0]} with "
            f"{call} per call, where it would be {bound:.2f} if a call did nothing but read the "
            "triangle's numbers once. At N = 2000 the share from 256 points on is at "
            f"least {many:.0f}% (target 90 %), and one point takes {reads:.2f} times as long as "
            "that reading (target 1.3).",
        ]
    )
