"""Ten times more points than the service can predict: what it still predicts, and how fast."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import numpy as np

from bench import wrk
from bench.memory import Watch
from bench.openloop import Call, Seen, send_for
from bench.places import CLIENT_CORE
from bench.servers import GPSERVE, Running, running
from bench.tables import table

TITLE = "Overload"
TRAINING_POINTS = 2000
POINTS = 100
FEW_CLIENTS = (2, 4, 8, 16)
SECONDS = 5
OVERLOAD_SECONDS = 15
TIMES = 10


def measure() -> dict[str, Any]:
    """The best rate of a few clients, then the rate under ten times as much."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    with running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        before = _best(server)
        with Watch(server) as memory:
            seen, seconds = asyncio.run(_overload(server, before * TIMES))
        after = _best(server)
    best = max(before, after)
    rate = seen.count(200) / seconds
    return {
        "best": best * POINTS,
        "offered": len(seen.statuses) / OVERLOAD_SECONDS * POINTS,
        "predicted": rate * POINTS,
        "share": rate / best,
        "p50": seen.percentile(50),
        "p99": seen.percentile(99),
        "refused p99": seen.percentile(99, 503) if seen.count(503) else 0.0,
        "accepted": seen.count(200),
        "refused": seen.count(503),
        "other": len(seen.statuses) - seen.count(200) - seen.count(503),
        "memory": memory.peak,
        "growth": memory.growth,
    }


def _best(server: Running) -> float:
    loads = (
        wrk.load(server.url, clients, SECONDS, dialect="hundred", refusals=True)
        for clients in FEW_CLIENTS
    )
    return max(load.rate for load in loads)


async def _overload(server: Running, rate: float) -> tuple[Seen, float]:
    points = np.random.default_rng(2).random((POINTS, 4)).round(6).tolist()
    body = json.dumps({"points": points}).encode()
    started = time.perf_counter()
    seen = await send_for(Call(server.url + "/predict", rate, body), OVERLOAD_SECONDS)
    return seen, time.perf_counter() - started


def markdown(measured: dict[str, Any]) -> str:
    """The table and the target."""
    rows = [
        ["best rate with a few clients", f"{measured['best']:,.0f} points/s"],
        ["offered", f"{measured['offered']:,.0f} points/s"],
        ["predicted", f"{measured['predicted']:,.0f} points/s"],
        ["share of the best rate (target 90 %)", f"{measured['share']:.0%}"],
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
