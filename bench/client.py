"""Our Python client: 100,000 points in one call, against one server process and two."""

from __future__ import annotations

import json
import os
import subprocess
from statistics import median

import click

from bench.places import ROOT, SERVER_CORE, python
from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "One call of the Python client"
TRAINING_POINTS = 2000
POINTS = 100_000
ROUNDS = 3
TARGET = 1.7


def measure() -> list[dict[str, float]]:
    """Points a second in interleaved rounds; one process has one core, two have all."""
    return [_round(number) for number in range(ROUNDS)]


def _round(number: int) -> dict[str, float]:
    seen = {"one": _rate(1, SERVER_CORE), "two": _rate(2, None)}
    click.echo(f"round {number + 1}: " + ", ".join(f"{k} {v:,.0f}" for k, v in seen.items()))
    return seen


def _rate(workers: int, core: int | None) -> float:
    environment = {"GPSERVE_WORKERS": str(workers)}
    with running("gpserve", GPSERVE, TRAINING_POINTS, core=core, environment=environment) as server:
        command = [python("client"), "-m", "bench.clientcall", server.url, str(POINTS)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "client")])
        environ = os.environ | {"PYTHONPATH": paths}
        said = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        return POINTS / float(json.loads(said.stdout))


def markdown(measured: list[dict[str, float]]) -> str:
    """The table and the target."""
    one, two = (median(seen[name] for seen in measured) for name in ("one", "two"))
    ratio = median(seen["two"] / seen["one"] for seen in measured)
    rows = [["one, on one core", f"{one:,.0f}", ""], ["two, on two", f"{two:,.0f}", f"{ratio:.2f}"]]
    return "\n\n".join(
        [
            f"`gp.predict(X)` with {POINTS:,} points, N = {TRAINING_POINTS}, split by the client "
            f"and sent at the same time; medians of {ROUNDS} rounds. The client runs on the "
            "servers' cores, so its own work is part of the price.",
            table(["server processes", "points/s", "ratio"], rows),
            f"Two processes: {ratio:.2f} times the points of one (target {TARGET}).",
        ]
    )
