"""The gain when requests that wait at the same time share one product."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench import wrk
from bench.model import bare
from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "Batching"
TRAINING_POINTS = 2000
CLIENTS = (1, 16)
ROUNDS = 5
SECONDS = 4


def measure() -> dict[str, Any]:
    """Measure rate and latency for one client and for many, in interleaved rounds."""
    with running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        wrk.load(server, max(CLIENTS), 2)
        rounds = [[wrk.load(server, c, SECONDS) for c in CLIENTS] for _ in range(ROUNDS)]
    sides = zip(CLIENTS, zip(*rounds, strict=True), strict=True)
    return {
        "clients": {
            str(clients): {
                "rate": median(each.rate for each in loads),
                "p50": median(each.p50 for each in loads),
                "p99": median(each.p99 for each in loads),
            }
            for clients, loads in sides
        },
        "ratio": median(many.rate / one.rate for one, many in rounds),
        "model": _of_the_model(),
    }


def _of_the_model() -> float:
    """Return how many times as fast the model alone is with all points at once as with one."""
    one, many = (f"gpserve {clients}" for clients in CLIENTS)
    rates = bare("gpserve", TRAINING_POINTS, CLIENTS, SECONDS)
    return float(rates[many] / rates[one])


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the target."""
    rows = [
        [clients, f"{load['rate']:,.0f}", f"{load['p50']:.1f} ms", f"{load['p99']:.1f} ms"]
        for clients, load in measured["clients"].items()
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, one point per request. A single client is answered point by "
            "point; requests of several at the same time share one product.",
            table(["clients", "points/s", "p50", "p99"], rows),
            f"Together {measured['ratio']:.1f} times as many points per second (target 6). The "
            f"model alone is {measured['model']:.1f} times as fast with {CLIENTS[-1]} points at "
            "once as with one: more where its triangle does not fit the CPU's last cache.",
        ]
    )
