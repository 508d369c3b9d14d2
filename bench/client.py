"""The Python client: 100,000 points in one call, against one server process and two."""

from __future__ import annotations

import json
import os
import subprocess
from statistics import median
from typing import Any

import click
import psutil

from bench.places import ROOT, SERVER_CORE, python
from bench.servers import GPSERVE, Running, running
from bench.tables import table

TITLE = "One call of the Python client"
TRAINING_POINTS = 2000
POINTS = 100_000
ROUNDS = 3
TARGET = 1.7

Call = dict[str, Any]
"""Of one call: ``seconds``, and CPU seconds of the ``client``, each of the ``servers`` and all
``others`` on this machine."""


def measure() -> list[dict[str, Call]]:
    """Measure interleaved rounds; one process has one core, two have all."""
    return [_round(number) for number in range(ROUNDS)]


def _round(number: int) -> dict[str, Call]:
    calls = {"one": _call(1, SERVER_CORE), "two": _call(2, None)}
    rates = ", ".join(f"{name} {POINTS / call['seconds']:,.0f}" for name, call in calls.items())
    click.echo(f"round {number + 1}: {rates} points/s; {_busy(calls)}")
    return calls


def _busy(calls: dict[str, Call]) -> str:
    servers = " and ".join(f"{100 * s / sum(calls['two']['servers']):.0f} %" for s in
                           calls["two"]["servers"])  # fmt: skip
    others = 100 * _others(calls["two"])
    return f"the two computed {servers}, others took {others:.0f} % of the CPUs"


def _call(workers: int, core: int | None) -> Call:
    environment = {"GPSERVE_WORKERS": str(workers)}
    with running("gpserve", GPSERVE, TRAINING_POINTS, core=core, environment=environment) as server:
        return _timed(server)


def _timed(server: Running) -> Call:
    command = [python("client"), "-m", "bench.clientcall", server.url, str(POINTS)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")])}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True
    ) as client:
        assert client.stdout is not None
        client.stdout.readline()
        machine, before = _machine_seconds(), server.each_cpu_seconds()
        output, _ = client.communicate("go\n")
        machine, after = _machine_seconds() - machine, server.each_cpu_seconds()
    call = json.loads(output)
    servers = [b - a for a, b in zip(before, after, strict=True)]
    others = max(0.0, machine - call["cpu"] - sum(servers))
    return {"seconds": call["seconds"], "client": call["cpu"], "servers": servers, "others": others}


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _others(call: Call) -> float:
    """Return the share of the machine's CPUs that other programs used."""
    return float(call["others"] / call["seconds"] / (os.cpu_count() or 1))


def _undisturbed(calls: dict[str, Call]) -> float:
    """Return the ratio by CPU time: two cores that do only this call, against one that serves."""
    one, two = calls["one"], calls["two"]
    return float(2 * sum(one["servers"]) / (sum(two["servers"]) + two["client"]))


def markdown(measured: list[dict[str, Call]]) -> str:
    """Return the table and the target."""
    rows = [_row("one, on one core", measured, "one"), _row("two, on two", measured, "two")]
    head = ["server processes", "points/s", "share of the busiest", "client, CPU", "other programs"]
    ratio = median(calls["one"]["seconds"] / calls["two"]["seconds"] for calls in measured)
    by_cpu = median(map(_undisturbed, measured))
    return "\n\n".join(
        [
            f"`gp.predict(X)` with {POINTS:,} points, N = {TRAINING_POINTS}, split by the client "
            f"and sent at the same time as `.npy`; medians of {ROUNDS} rounds. Against two "
            "processes the client runs on their cores, so its work is part of the price. The "
            "servers' computing threads give way to all other programs (nice 10), so only "
            "a run in which other programs took next to nothing shows what the cores allow.",
            table(head, rows),
            f"Two processes: {ratio:.2f} times the points of one (target {TARGET}); by "
            f"CPU time, two cores with nothing else to do give {by_cpu:.2f}.",
        ]
    )


def _row(name: str, measured: list[dict[str, Call]], key: str) -> list[str]:
    calls = [pair[key] for pair in measured]
    return [
        name,
        f"{POINTS / median(call['seconds'] for call in calls):,.0f}",
        f"{median(max(call['servers']) / sum(call['servers']) for call in calls):.0%}",
        f"{median(call['client'] / sum(call['servers']) for call in calls):.1%} of the servers'",
        f"{median(map(_others, calls)):.0%}",
    ]
