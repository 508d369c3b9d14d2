"""UM-Bridge's own client against both servers, and its calls replayed by wrk."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from math import isnan, nan
from statistics import median
from typing import Any

import click

from bench import wrk
from bench.places import CLIENT_CORE, ROOT, pinned, python
from bench.quota import limited
from bench.servers import Running, running
from bench.sides import SIDES
from bench.tables import table

TITLE = "UM-Bridge's own client"
TRAINING_POINTS = (500, 2000)
ROUNDS = 3
CALLS = 1600
LIMITED_CALLS = 400
CORES = 0.1
CLIENTS = 16
CONNECTIONS = 16
SECONDS = 3
OURS, THEIRS = "gpserve", "umbridge"

Turn = dict[str, float]


def measure() -> dict[str, Any]:
    """Return, for each model size, medians of rounds and of the ratios within a round."""
    return {str(size): _compare(size) for size in TRAINING_POINTS}


def _compare(size: int) -> dict[str, Turn]:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_server(name, size)) for name in (OURS, THEIRS)}
        for server in servers.values():
            _replayed(server, close=False)
        rounds = [_round(servers, f"N = {size}, round {i + 1}") for i in range(ROUNDS)]
    measured = {name: _medians([turns[name] for turns in rounds]) for name in servers}
    ratios = [{k: turns[OURS][k] / turns[THEIRS][k] for k in turns[OURS]} for turns in rounds]
    return {**measured, "ratio": _medians(ratios)}


def _server(name: str, size: int) -> Any:
    side = SIDES[name]
    return running(side.environment, side.arguments, size, ready=side.ready)


def _medians(turns: list[Turn]) -> Turn:
    return {what: median(turn[what] for turn in turns) for what in turns[0]}


def _round(servers: dict[str, Running], title: str) -> dict[str, Turn]:
    turns = {name: _turn(server) for name, server in servers.items()}
    for name, turn in turns.items():
        text = ", ".join(f"{what} {value:,.4g}" for what, value in turn.items())
        click.echo(f"{title}: {name}: {text}")
    return turns


def _turn(server: Running) -> Turn:
    one, together = _clients(server, 1, CALLS), _clients(server, CLIENTS, CALLS)
    new, new_cpu = _replayed(server, close=True)
    kept, kept_cpu = _replayed(server, close=False)
    return {
        "one": one,
        "together": together,
        "limited": _clients_of_a_small_server(server),
        "new": new,
        "kept": kept,
        "new CPU": new_cpu,
        "kept CPU": kept_cpu,
    }


def _clients_of_a_small_server(server: Running) -> float:
    """Return calls per second when the server limits the clients, or NaN if that is impossible."""
    with ExitStack() as stack:
        try:
            stack.enter_context(limited(server.pids(), CORES))
        except OSError as error:
            click.echo(f"cannot limit the server to {CORES} cores: {error}")
            return nan
        return _clients(server, CLIENTS, LIMITED_CALLS)


def _clients(server: Running, clients: int, calls: int) -> float:
    """Return calls per second of this many unmodified clients."""
    module, count = "bench.peers.umbridge_client", str(calls // clients)
    command = [python("umbridge"), "-m", module, server.url, count, str(clients)]
    done = subprocess.run(
        pinned(CLIENT_CORE, command), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout))


def _replayed(server: Running, *, close: bool) -> tuple[float, float]:
    """Return calls per second, and CPU seconds per call."""
    load = wrk.load(server, CONNECTIONS, SECONDS, path="/Evaluate", dialect="umbridge", close=close)
    return load.rate, load.cpu


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the target."""
    rows = [row for size, sides in measured.items() for row in _rows(size, sides)]
    head = [
        "N and server",
        "one client",
        f"{CLIENTS} clients",
        f"{CLIENTS} clients, server on {CORES} cores",
        "wrk, new connections",
        "CPU per call",
        "wrk, kept connections",
        "CPU per call",
    ]
    ratios = "; ".join(f"N = {size}: {_ratios(sides['ratio'])}" for size, sides in measured.items())
    return "\n\n".join(
        [
            f"Calls per second of `Evaluate` with one point; medians of {ROUNDS} interleaved "
            "rounds, and of the ratios within a round. The client is the `umbridge` package's, "
            "unmodified, in processes of its own. It opens a connection for each call and needs "
            "several times the CPU time of either server: on one core it is the limit, so that "
            f"both servers wait for it. The server is the limit when it has only {CORES} cores, "
            "as in a pod with a CPU limit, and with wrk, which replays the calls, "
            f"{CONNECTIONS} at a time.",
            table(head, rows),
            f"Times the calls of UM-Bridge's server: {ratios} (target 1.5).",
        ]
    )


def _ratios(ratio: Turn) -> str:
    limited, new, kept = (_number(ratio[what], "{:.2f}") for what in ("limited", "new", "kept"))
    return f"{limited} by unmodified clients, {new} replayed on new connections, {kept} on kept"


def _rows(size: str, sides: dict[str, Turn]) -> list[list[str]]:
    return [
        *(_row(f"{size}, {SIDES[name].title}", sides[name], "{:,.0f}", 1e6) for name in SIDES
          if name in sides),
        _row(f"{size}, ratio", sides["ratio"], "{:.2f}", 1),
    ]  # fmt: skip


def _row(title: str, turn: Turn, form: str, scale: float) -> list[str]:
    unit = " µs" if scale > 1 else ""
    cpu = [form.format(turn[what] * scale) + unit for what in ("new CPU", "kept CPU")]
    rates = [_number(turn[what], form) for what in ("one", "together", "limited", "new", "kept")]
    return [title, *rates[:4], cpu[0], rates[4], cpu[1]]


def _number(value: float, form: str) -> str:
    return "—" if isnan(value) else form.format(value)
