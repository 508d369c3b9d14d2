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
TRAINING_POINTS = 500
ROUNDS = 5
CALLS = 1000
CLIENTS = 4
CONNECTIONS = 16
SECONDS = 3
COMPARED = ("gpserve", "umbridge")

Turn = dict[str, float]


def measure() -> dict[str, Any]:
    """Medians of interleaved rounds, and ratios within the same round."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                running(
                    SIDES[name].environment,
                    SIDES[name].arguments,
                    TRAINING_POINTS,
                    ready=SIDES[name].ready,
                )
            )
            for name in COMPARED
        }
        for server in servers.values():
            _replayed(server, close=False)
        rounds = [_round(servers, number) for number in range(ROUNDS)]
    return {"sides": {name: _medians(rounds, name) for name in COMPARED}, "ratios": _ratios(rounds)}


def _round(servers: dict[str, Running], number: int) -> dict[str, Turn]:
    seen = {name: _turn(server) for name, server in servers.items()}
    for name, turn in seen.items():
        said = ", ".join(f"{what} {value:,.6g}" for what, value in turn.items())
        click.echo(f"round {number + 1}: {name}: {said}")
    return seen


def _turn(server: Running) -> Turn:
    before = server.cpu_seconds()
    alone = _clients(server, 1)
    cpu = (server.cpu_seconds() - before) / CALLS
    return {
        "alone": alone,
        "together": _clients(server, CLIENTS),
        "cpu": cpu,
        "new connections": _replayed(server, close=True),
        "kept connections": _replayed(server, close=False),
    }


def _clients(server: Running, clients: int) -> float:
    count = CALLS // clients
    module = "bench.peers.umbridge_client"
    command = [python("umbridge"), "-m", module, server.url, str(count), str(clients)]
    said = subprocess.run(
        pinned(CLIENT_CORE, command), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(json.loads(said.stdout))


def _replayed(server: Running, *, close: bool) -> float:
    return wrk.load(
        server.url, CONNECTIONS, SECONDS, path="/Evaluate", dialect="umbridge", close=close
    ).rate


def _medians(rounds: list[dict[str, Turn]], name: str) -> Turn:
    return {what: median(seen[name][what] for seen in rounds) for what in rounds[0][name]}


def _ratios(rounds: list[dict[str, Turn]]) -> Turn:
    ours, theirs = COMPARED
    return {
        what: median(seen[ours][what] / seen[theirs][what] for seen in rounds)
        for what in rounds[0][ours]
    }


def markdown(measured: dict[str, Any]) -> str:
    """The table and the target."""
    rows = [
        [
            SIDES[name].title,
            f"{side['alone']:,.0f}",
            f"{side['together']:,.0f}",
            f"{side['cpu'] * 1e6:.0f} µs",
            f"{side['new connections']:,.0f}",
            f"{side['kept connections']:,.0f}",
        ]
        for name, side in measured["sides"].items()
    ]
    ratios = measured["ratios"]
    rows.append(["ratio", *(f"{value:.2f}" for value in ratios.values())])
    head = [
        "server",
        "calls/s, one client",
        f"calls/s, {CLIENTS} clients",
        "server CPU a call",
        "wrk, a connection a call",
        "wrk, kept connections",
    ]
    return "\n\n".join(
        [
            f"`Evaluate` of one point, N = {TRAINING_POINTS}, {ROUNDS} interleaved rounds, medians "
            "of the rounds and of the ratios within a round. The client is the `umbridge` package's, "
            "unmodified: it opens a connection for each call and spends more time itself than either "
            "server does, on a core of its own. wrk replays its calls with "
            f"{CONNECTIONS} at a time, so that the server is the limit.",
            table(head, rows),
            f"With a connection a call, as the client does it: {ratios['new connections']:.2f} times "
            "the calls of UM-Bridge's server (target 1.5).",
        ]
    )
