"""Ten times more points than the service can predict: what it still predicts, and how fast."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import Any

import numpy as np

from bench import wrk
from bench.memory import Watch
from bench.openloop import Call, Seen, send_for
from bench.places import on_client_core
from bench.servers import GPSERVE, Running, running
from bench.tables import table

TITLE = "Overload"
TRAINING_POINTS = 2000
POINTS = 100
FEW_CLIENTS = 4
SECONDS = 5
ROUNDS = 5
OVERLOAD_SECONDS = 8
TIMES = 10


def measure() -> dict[str, Any]:
    """The rate of a few clients, and the rate under ten times as much, in turns.

    The machine's own speed drifts by more than the difference, so each share is of the two
    few-client turns around its overload.
    """
    few: list[float] = []
    overloads: list[tuple[Seen, float]] = []
    with on_client_core(), running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        _few(server)
        with Watch(server) as memory:
            for _ in range(ROUNDS):
                few.append(_few(server))
                overloads.append(asyncio.run(_overload(server, few[-1] * TIMES)))
            few.append(_few(server))
    rates = [seen.count(200) / seconds for seen, seconds in overloads]
    shares = [2 * rate / (few[i] + few[i + 1]) for i, rate in enumerate(rates)]
    seen = Seen(
        [status for each, _ in overloads for status in each.statuses],
        [latency for each, _ in overloads for latency in each.latencies],
    )
    return {
        "best": median(few) * POINTS,
        "offered": len(seen.statuses) / (ROUNDS * OVERLOAD_SECONDS) * POINTS,
        "predicted": median(rates) * POINTS,
        "share": median(shares),
        "shares": shares,
        "p50": seen.percentile(50),
        "p99": seen.percentile(99),
        "refused p99": seen.percentile(99, 503) if seen.count(503) else 0.0,
        "accepted": seen.count(200),
        "refused": seen.count(503),
        "other": len(seen.statuses) - seen.count(200) - seen.count(503),
        "memory": memory.peak,
        "growth": memory.growth,
    }


def _few(server: Running) -> float:
    return wrk.load(server.url, FEW_CLIENTS, SECONDS, dialect="hundred", refusals=True).rate


async def _overload(server: Running, rate: float) -> tuple[Seen, float]:
    points = np.random.default_rng(2).random((POINTS, 4)).round(6).tolist()
    body = json.dumps({"points": points}).encode()
    started = time.perf_counter()
    seen = await send_for(Call(server.url + "/predict", rate, body), OVERLOAD_SECONDS)
    return seen, time.perf_counter() - started


def markdown(measured: dict[str, Any]) -> str:
    """The table and the target."""
    rows = [
        [f"{FEW_CLIENTS} clients, as fast as they can", f"{measured['best']:,.0f} points/s"],
        ["offered", f"{measured['offered']:,.0f} points/s"],
        ["predicted", f"{measured['predicted']:,.0f} points/s"],
        ["share of that (target 90 %), median", f"{measured['share']:.0%}"],
        ["share in each round", ", ".join(f"{share:.0%}" for share in measured["shares"])],
        ["p50 of the accepted", f"{measured['p50']:.0f} ms"],
        ["p99 of the accepted", f"{measured['p99']:.0f} ms"],
        ["p99 of the refused", f"{measured['refused p99']:.0f} ms"],
        ["accepted requests", f"{measured['accepted']:,}"],
        ["refused with 503 and `Retry-After`", f"{measured['refused']:,}"],
        ["anything else", f"{measured['other']:,}"],
        ["largest memory", f"{measured['memory']:.0f} MB"],
        ["grown by", f"{measured['growth']:.0f} MB"],
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, {POINTS} points a request, sent on a clock for "
            f"{OVERLOAD_SECONDS} s at {TIMES} times the best rate, whether or not the earlier "
            "requests were answered.",
            table(["", ""], rows),
        ]
    )
