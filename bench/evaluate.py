"""UM-Bridge's own client against both servers, and its calls replayed by wrk."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from statistics import median
from typing import Any

import click

from bench import wrk
from bench.places import CLIENT_CORE, ROOT, pinned, python
from bench.servers import Running, running
from bench.sides import SIDES
from bench.tables import table

TITLE = "UM-Bridge's own client"
TRAINING_POINTS = (500, 2000)
ROUNDS = 3
CALLS = 1600
CLIENTS = 16
CONNECTIONS = 16
SECONDS = 3
OURS, THEIRS = "gpserve", "umbridge"

Turn = dict[str, float]


def measure() -> dict[str, Any]:
    """For each size of the model, medians of rounds and of the ratios within a round."""
    return {str(size): _compare(size) for size in TRAINING_POINTS}


def _compare(size: int) -> dict[str, Turn]:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_server(name, size)) for name in (OURS, THEIRS)}
        for server in servers.values():
            _replayed(server, close=False)
        rounds = [_round(servers, f"N = {size}, round {i + 1}") for i in range(ROUNDS)]
    measured = {name: _medians([seen[name] for seen in rounds]) for name in servers}
    ratios = [{k: seen[OURS][k] / seen[THEIRS][k] for k in seen[OURS]} for seen in rounds]
    return {**measured, "ratio": _medians(ratios)}


def _server(name: str, size: int) -> Any:
    side = SIDES[name]
    return running(side.environment, side.arguments, size, ready=side.ready)


def _medians(turns: list[Turn]) -> Turn:
    return {what: median(turn[what] for turn in turns) for what in turns[0]}


def _round(servers: dict[str, Running], title: str) -> dict[str, Turn]:
    seen = {name: _turn(server) for name, server in servers.items()}
    for name, turn in seen.items():
        said = ", ".join(f"{what} {value:,.4g}" for what, value in turn.items())
        click.echo(f"{title}: {name}: {said}")
    return seen


def _turn(server: Running) -> Turn:
    one, together = _clients(server, 1), _clients(server, CLIENTS)
    new, new_cpu = _replayed(server, close=True)
    kept, kept_cpu = _replayed(server, close=False)
    return {
        "one": one,
        "together": together,
        "new": new,
        "kept": kept,
        "new CPU": new_cpu,
        "kept CPU": kept_cpu,
    }


def _clients(server: Running, clients: int) -> float:
    """Calls a second of so many unmodified clients."""
    module, count = "bench.peers.umbridge_client", str(CALLS // clients)
    command = [python("umbridge"), "-m", module, server.url, count, str(clients)]
    said = subprocess.run(
        pinned(CLIENT_CORE, command), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(json.loads(said.stdout))


def _replayed(server: Running, *, close: bool) -> tuple[float, float]:
    """Calls a second, and processor seconds a call."""
    begun = server.cpu_seconds()
    load = wrk.load(
        server.url, CONNECTIONS, SECONDS, path="/Evaluate", dialect="umbridge", close=close
    )
    return load.rate, (server.cpu_seconds() - begun) / load.requests


def markdown(measured: dict[str, Any]) -> str:
    """The table and the target."""
    rows = [row for size, sides in measured.items() for row in _rows(size, sides)]
    head = [
        "N and server",
        "one client",
        f"{CLIENTS} clients",
        "wrk, new connections",
        "CPU a call",
        "wrk, kept connections",
        "CPU a call",
    ]
    said = "; ".join(
        f"N = {size}: {sides['ratio']['new']:.2f} and {sides['ratio']['kept']:.2f}"
        for size, sides in measured.items()
    )
    return "\n\n".join(
        [
            f"Calls a second of `Evaluate` with one point; medians of {ROUNDS} interleaved rounds, "
            "and of the ratios within a round. The client is the `umbridge` package's, unmodified. "
            "It opens a connection for each call and needs more processor time itself than either "
            "server, so on one core it is the limit; wrk replays its calls, "
            f"{CONNECTIONS} at a time, until the server is.",
            table(head, rows),
            f"Times the calls of UM-Bridge's server, with new and with kept connections: {said} "
            "(target 1.5).",
        ]
    )


def _rows(size: str, sides: dict[str, Turn]) -> list[list[str]]:
    return [
        *(_row(f"{size}, {SIDES[name].title}", sides[name], "{:,.0f}", 1e6) for name in SIDES
          if name in sides),
        _row(f"{size}, ratio", sides["ratio"], "{:.2f}", 1),
    ]  # fmt: skip


def _row(title: str, turn: Turn, form: str, scale: float) -> list[str]:
    unit = " µs" if scale > 1 else ""
    cpu = [form.format(turn[what] * scale) + unit for what in ("new CPU", "kept CPU")]
    rates = [form.format(turn[what]) for what in ("one", "together", "new", "kept")]
    return [title, *rates[:3], cpu[0], rates[3], cpu[1]]
