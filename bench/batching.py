"""Requests that wait together are answered by one product: what that gains."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench import wrk
from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "Batching"
TRAINING_POINTS = 2000
CLIENTS = (1, 16)
ROUNDS = 5
SECONDS = 4


def measure() -> dict[str, Any]:
    """Rate and latency for one client and for many, in interleaved rounds."""
    with running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        wrk.load(server.url, max(CLIENTS), 2)
        rounds = [[wrk.load(server.url, c, SECONDS) for c in CLIENTS] for _ in range(ROUNDS)]
    sides = zip(CLIENTS, zip(*rounds, strict=True), strict=True)
    return {
        "clients": {
            str(clients): {
                "rate": median(load.rate for load in loads),
                "p50": median(load.p50 for load in loads),
                "p99": median(load.p99 for load in loads),
            }
            for clients, loads in sides
        },
        "ratio": median(many.rate / one.rate for one, many in rounds),
    }


def markdown(measured: dict[str, Any]) -> str:
    """The table and the target."""
    rows = [
        [clients, f"{seen['rate']:,.0f}", f"{seen['p50']:.1f} ms", f"{seen['p99']:.1f} ms"]
        for clients, seen in measured["clients"].items()
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, one point a request. One client alone is answered point by "
            "point; what several ask at the same time is one product.",
            table(["clients", "points/s", "p50", "p99"], rows),
            f"Together {measured['ratio']:.1f} times as many points a second (target 4).",
        ]
    )
