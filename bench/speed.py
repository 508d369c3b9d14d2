"""One point per request from 16 clients: the service beside its peers, in interleaved rounds."""

from __future__ import annotations

from statistics import median
from typing import Any

import click

from bench import wrk
from bench.servers import Running
from bench.sides import SIDES, refuse_different_answers, started
from bench.tables import table

TITLE = "One point per request, beside other servers"
TRAINING_POINTS = 500
CONNECTIONS = 16
ROUNDS = 5
SECONDS = 4
WARM_UP_SECONDS = 2
REFERENCE = "umbridge"


Round = dict[str, wrk.Load]
"""The load on each side."""


def measure() -> dict[str, Any]:
    """Measure rates, latencies and memory of every side, and ratios within the same round."""
    with started(SIDES, TRAINING_POINTS) as servers:
        refuse_different_answers(servers)
        for name in SIDES:
            _load(name, servers[name], WARM_UP_SECONDS)
        rounds = [_round(servers, number) for number in range(ROUNDS)]
        memory = {name: server.megabytes() for name, server in servers.items()}
    return {name: _summary(name, rounds) | {"memory": memory[name]} for name in SIDES}


def _round(servers: dict[str, Running], number: int) -> Round:
    loads = {name: _load(name, server, SECONDS) for name, server in servers.items()}
    rates = ", ".join(f"{name} {load.rate:,.0f}" for name, load in loads.items())
    click.echo(f"round {number + 1}: {rates} requests/s")
    return loads


def _load(name: str, server: Running, seconds: float) -> wrk.Load:
    side = SIDES[name]
    return wrk.load(server, CONNECTIONS, seconds, path=side.path, dialect=side.dialect)


def _summary(name: str, rounds: list[Round]) -> dict[str, Any]:
    own = [loads[name] for loads in rounds]
    return {
        "rate": median(load.rate for load in own),
        "best": max(load.rate for load in own),
        "p50": median(load.p50 for load in own),
        "p99": median(load.p99 for load in own),
        "cpu": median(load.cpu for load in own),
        "ratio": median(loads[name].rate / loads[REFERENCE].rate for loads in rounds),
    }


def markdown(measured: dict[str, Any]) -> str:
    """Return the table, the targets and the plot."""
    rows = [
        [
            SIDES[name].title,
            f"{side['rate']:,.0f}",
            f"{side['best']:,.0f}",
            f"{side['ratio']:.2f}",
            f"{side['p50']:.1f} ms",
            f"{side['p99']:.1f} ms",
            f"{side['cpu'] * 1e6:.0f} µs",
            f"{side['memory']:.0f} MB",
        ]
        for name, side in measured.items()
    ]
    head = ["server", "requests/s", "best round", "ratio", "p50", "p99", "CPU/request", "memory"]
    ours, proxied = measured["gpserve"], measured["proxied"]
    peer, fastapi = measured[REFERENCE], measured["fastapi"]
    return "\n\n".join(
        [
            f"One point per request as JSON, N = {TRAINING_POINTS}, wrk with {CONNECTIONS} "
            f"connections, {ROUNDS} interleaved rounds of {SECONDS} s after a warm-up; medians of "
            "the rounds. The ratio is to UM-Bridge's server in the same round. Memory is PSS of "
            "all processes after the load. All sides predict with the service's own `GPR`, the "
            "article's design with GPy; their answers are compared before the measurement.",
            table(head, rows),
            f"Against UM-Bridge's server: {ours['ratio']:.2f} times the requests (target 2.5), "
            f"{ours['p99'] / peer['p99']:.2f} of its p99 (target 0.5). Against FastAPI: "
            f"{ours['rate'] / fastapi['rate']:.2f} times the requests (target 4). With the headers "
            "that ingress-nginx adds, each request with another id: "
            f"{proxied['rate'] / ours['rate']:.2f} of the requests without them.",
            "![requests per second, p99 and memory](benchmarks.png)",
        ]
    )
