"""Overload: goodput, latency and probes while many kept connections ask for too much."""

from __future__ import annotations

import json
import time
from statistics import mean, median
from typing import Any

import numpy as np

from bench.kept import Kept
from bench.memory import Watch
from bench.openloop import Responses
from bench.places import on_client_core
from bench.probes import probing
from bench.servers import GPSERVE, Running, running
from bench.tables import table

TITLE = "Overload"
NAMES = ("x1", "x2", "x3", "x4")
TRAINING_POINTS = 2000
FEW_CLIENTS = {1: 16, 100: 4}
"""By points per request: as many as give the best rate."""
CONNECTIONS = (64, 256, 512)
TIMES = 10
FEW_SECONDS = 3
SECONDS = 6
IDLE_SECONDS = 2
ROUNDS = 3


def measure() -> dict[str, Any]:
    """Measure a few clients and overloads in turns.

    The machine's own speed drifts by more than the difference, so each overload is compared with
    the few-client turns before and after it.
    """
    with on_client_core(), running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        for points in FEW_CLIENTS:
            _few(server, points)
        with Watch(server) as memory:
            rows = [
                _row(server, points, connections, clock)
                for points in FEW_CLIENTS
                for connections in CONNECTIONS
                for clock in (False, True)
            ]
    return {"rows": rows, "memory": memory.peak, "growth": memory.growth}


def _row(server: Running, points: int, connections: int, clock: bool) -> dict[str, Any]:
    """Measure one kind of overload; `clock`: at a multiple of the best rate, not without pause."""
    best, goodput, probes = [_few(server, points)], [], list[float]()
    together = Responses()
    for _ in range(ROUNDS):
        rate = best[-1] * TIMES if clock else None
        load = Kept(server.port, _request(points), connections, rate)
        with probing(server.port) as waits:
            responses = load.send(SECONDS)
        best.append(_few(server, points))
        goodput.append(responses.count(200) / SECONDS)
        probes += waits
        together.statuses += responses.statuses
        together.latencies += responses.latencies
    shares = [rate / mean(best[i : i + 2]) for i, rate in enumerate(goodput)]
    return {
        "points": points,
        "connections": connections,
        "clock": clock,
        "best": median(best) * points,
        "offered": len(together.statuses) / (ROUNDS * SECONDS) / median(best),
        "share": median(shares),
        "p50": together.percentile(50),
        "p99": together.percentile(99),
        "refused": together.count(503),
        "other": len(together.statuses) - together.count(200) - together.count(503),
        "probe p99": float(np.percentile(probes, 99)),
        "probe max": max(probes),
    }


def _few(server: Running, points: int) -> float:
    """Return the requests per second of a few clients, once earlier work is done."""
    time.sleep(IDLE_SECONDS)
    load = Kept(server.port, _request(points), FEW_CLIENTS[points])
    answered = load.send(FEW_SECONDS).count(200)
    if not answered:
        raise RuntimeError("the machine is too busy: a few clients got no answer")
    return answered / FEW_SECONDS


def _request(points: int) -> bytes:
    rows = np.random.default_rng(2).random((points, len(NAMES))).round(6).tolist()
    document = {"points": rows} if points > 1 else dict(zip(NAMES, rows[0], strict=True))
    body = json.dumps(document).encode()
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the targets."""
    head = [
        "points per request",
        "kept connections",
        "sent",
        "answered and refused, times the best",
    ]
    head += ["goodput", "p50", "p99", "refused", "other answers", "probe p99", "slowest probe"]
    rows = [
        [
            f"{row['points']} (best: {row['best']:,.0f} points/s)",
            str(row["connections"]),
            f"{TIMES} times the best rate" if row["clock"] else "as fast as answered",
            f"{row['offered']:.1f}",
            f"{row['share']:.0%}",
            f"{row['p50']:.0f} ms",
            f"{row['p99']:.0f} ms",
            f"{row['refused']:,}",
            f"{row['other']:,}",
            f"{row['probe p99']:.0f} ms",
            f"{row['probe max']:.0f} ms",
        ]
        for row in measured["rows"]
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, {ROUNDS} rounds of {SECONDS} s each, in turns with a few "
            "clients (4 with 100 points per request, 16 with one), whose rate is the best. "
            "Goodput is the share of that rate which is still answered with 200 (target 90 %); "
            "p50 and p99 are of those answers. Meanwhile `/healthz` is asked on a new connection "
            "every 20 ms (target 500 ms at p99). A client that is refused sends again at once. "
            "So many connections cannot ask for more work than may wait, with one point per "
            "request: there the clock's requests wait for a connection, which counts.",
            table(head, rows),
            f"Largest memory {measured['memory']:.0f} MB, {measured['growth']:.0f} MB more than "
            "before.",
        ]
    )
