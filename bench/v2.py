"""One point per request from 16 clients in the Open Inference Protocol: beside model servers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import click

from bench import wrk
from bench.servers import Running, free_port, running
from bench.tables import table
from bench.v2sides import SERVERS, WAYS, grpc_load, refuse_different_answers

TITLE = "One point per request, beside model servers"
TRAINING_POINTS = 500
CONNECTIONS = 16
ROUNDS = 5
SECONDS = 3
WARM_UP_SECONDS = 2
FULL_CORE = 0.85
COMPARISONS = (
    ("json", "mlserver", 3.0),
    ("binary", "mlserver", 3.0),
    ("json", "grpc", 1.0),
    ("binary", "grpc", 1.0),
    ("native", "litserve", 1.0),
    ("native", "bentoml", 1.0),
    ("json", "native", None),
    ("binary", "json", None),
)
"""Ours, the other, and how many times the other's requests per second are the target."""


@dataclass(frozen=True)
class Turn:
    """One way's turn in a round: the load, and CPU seconds per request of the client.

    The client's are measured for gRPC only: wrk needs few.
    """

    load: wrk.Load
    client: float = 0.0


def measure() -> dict[str, Any]:
    """Measure every way to ask each server, in interleaved rounds, and memory after them."""
    grpc_port = free_port()
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_started(name, grpc_port)) for name in SERVERS}
        refuse_different_answers(servers, grpc_port, TRAINING_POINTS)
        for name in WAYS:
            _turn(name, servers, grpc_port, WARM_UP_SECONDS)
        rounds = [_round(servers, grpc_port, number) for number in range(ROUNDS)]
        memory = {name: server.megabytes() for name, server in servers.items()}
    return {
        "ways": {name: _summary([turns[name] for turns in rounds]) for name in WAYS},
        "memory": memory,
        "ratios": [_ratio(rounds, ours, other) for ours, other, _ in COMPARISONS],
    }


def _started(name: str, grpc_port: int) -> Any:
    server = SERVERS[name]
    arguments = [part.replace("GRPC_PORT", str(grpc_port)) for part in server.arguments]
    return running(name, arguments, TRAINING_POINTS, ready=server.ready)


def _round(servers: dict[str, Running], grpc_port: int, number: int) -> dict[str, Turn]:
    turns = {name: _turn(name, servers, grpc_port, SECONDS) for name in WAYS}
    text = ", ".join(
        f"{name} {t.load.rate:,.0f} ({t.load.cpu * 1e6:.0f} µs)" for name, t in turns.items()
    )
    click.echo(f"round {number + 1}: {text}")
    return turns


def _turn(name: str, servers: dict[str, Running], grpc_port: int, seconds: float) -> Turn:
    way = WAYS[name]
    server = servers[way.server]
    if way.dialect != "grpc":
        load = wrk.load(server, CONNECTIONS, seconds, path=way.path, dialect=way.dialect)
        return Turn(load)
    before = server.cpu_seconds()
    done = grpc_load(grpc_port, CONNECTIONS, seconds)
    cpu = (server.cpu_seconds() - before) / done["load"].requests
    return Turn(replace(done["load"], cpu=cpu), done["client"])


def _summary(turns: list[Turn]) -> dict[str, float]:
    return {
        "rate": median(turn.load.rate for turn in turns),
        "p50": median(turn.load.p50 for turn in turns),
        "p99": median(turn.load.p99 for turn in turns),
        "cpu": median(turn.load.cpu for turn in turns),
        "core": median(turn.load.cpu * turn.load.rate for turn in turns),
        "client": median(turn.client * turn.load.rate for turn in turns),
    }


def _ratio(rounds: list[dict[str, Turn]], ours: str, other: str) -> dict[str, float]:
    """Return how many times the other's requests we answer, in a second and in a CPU second."""
    return {
        "rate": median(turns[ours].load.rate / turns[other].load.rate for turns in rounds),
        "cpu": median(turns[other].load.cpu / turns[ours].load.cpu for turns in rounds),
    }


def markdown(measured: dict[str, Any]) -> str:
    """Return the table of the ways, and that of the comparisons with their targets."""
    ways = measured["ways"]
    rows = [
        [
            WAYS[name].title,
            f"{way['rate']:,.0f}",
            f"{way['p50']:.1f} ms",
            f"{way['p99']:.1f} ms",
            f"{way['cpu'] * 1e6:.0f} µs",
            f"{way['core']:.0%}",
            f"{measured['memory'][WAYS[name].server]:.0f} MB",
        ]
        for name, way in ways.items()
    ]
    head = ["server", "requests/s", "p50", "p99", "CPU/request", "of its core", "memory"]
    compared = [
        _comparison(ours, other, target, ratio)
        for (ours, other, target), ratio in zip(COMPARISONS, measured["ratios"], strict=True)
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, {CONNECTIONS} connections, {ROUNDS} interleaved rounds of "
            f"{SECONDS} s after a warm-up; medians of the rounds. All servers predict with the "
            "service's own `GPR`, and their answers are compared with its before the measurement. "
            "The share of its core says whether a server was the limit: all are pinned to one, "
            "wrk to the other. MLServer has one process, without access log and metrics; its REST "
            "has no binary tensors, so binary ones are compared with its JSON. gRPC has "
            f"a client in Python, which took {ways['grpc']['client']:.0%} of the other core.",
            table(head, rows),
            "How many times the other's requests are answered, in a second and in a second of the "
            "server's CPU; below 1 the other is faster.",
            table(["", "per second", "per CPU second", "target, both", "reached"], compared),
            *_disturbed(ways),
        ]
    )


def _disturbed(ways: dict[str, dict[str, float]]) -> list[str]:
    """Return a warning if a server had to wait for its client or for other programs."""
    least = min(way["core"] for way in ways.values())
    if least >= FULL_CORE:
        return []
    return [
        f"In this run a server had as little as {least:.0%} of its core, as other programs used "
        "both cores: its requests per second and times are lower than it can give. Only the CPU "
        "time per request tells the servers apart here."
    ]


def _comparison(ours: str, other: str, target: float | None, ratio: dict[str, float]) -> list[str]:
    wanted = "" if target is None else f"above {target:g}"
    reached = "" if target is None else "yes" if min(ratio.values()) >= target else "**no**"
    titles = f"{WAYS[ours].title} to {WAYS[other].title}"
    return [titles, f"{ratio['rate']:.2f}", f"{ratio['cpu']:.2f}", wanted, reached]
