"""Overload: the throughput and latency at ten times the points that the service can predict."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import Any

import numpy as np

from bench import wrk
from bench.memory import Watch
from bench.openloop import Call, Responses, send_for
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
    """Measure the rate of a few clients and the rate under ten times as much, in turns.

    The machine's own speed drifts by more than the difference, so each overload is compared with
    the few-client turns before and after it.
    """
    few: list[float] = []
    overloads: list[tuple[Responses, float]] = []
    with on_client_core(), running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        _few(server)
        with Watch(server) as memory:
            for _ in range(ROUNDS):
                few.append(_few(server))
                overloads.append(asyncio.run(_overload(server, few[-1] * TIMES)))
            few.append(_few(server))
    rates = [responses.count(200) / seconds for responses, seconds in overloads]
    shares = [2 * rate / (few[i] + few[i + 1]) for i, rate in enumerate(rates)]
    responses = Responses(
        [status for each, _ in overloads for status in each.statuses],
        [latency for each, _ in overloads for latency in each.latencies],
    )
    return {
        "best": median(few) * POINTS,
        "offered": len(responses.statuses) / (ROUNDS * OVERLOAD_SECONDS) * POINTS,
        "predicted": median(rates) * POINTS,
        "share": median(shares),
        "shares": shares,
        "p50": responses.percentile(50),
        "p99": responses.percentile(99),
        "refused p99": responses.percentile(99, 503) if responses.count(503) else 0.0,
        "accepted": responses.count(200),
        "refused": responses.count(503),
        "other": len(responses.statuses) - responses.count(200) - responses.count(503),
        "memory": memory.peak,
        "growth": memory.growth,
    }


def _few(server: Running) -> float:
    return wrk.load(server.url, FEW_CLIENTS, SECONDS, dialect="hundred", refusals=True).rate


async def _overload(server: Running, rate: float) -> tuple[Responses, float]:
    points = np.random.default_rng(2).random((POINTS, 4)).round(6).tolist()
    body = json.dumps({"points": points}).encode()
    started = time.perf_counter()
    responses = await send_for(Call(server.url + "/predict", rate, body), OVERLOAD_SECONDS)
    return responses, time.perf_counter() - started


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the target."""
    rows = [
        [f"{FEW_CLIENTS} clients, as fast as they can", f"{measured['best']:,.0f} points/s"],
        ["offered", f"{measured['offered']:,.0f} points/s"],
        ["predicted", f"{measured['predicted']:,.0f} points/s"],
        ["median share of the best rate (target 90 %)", f"{measured['share']:.0%}"],
        ["share per round", ", ".join(f"{share:.0%}" for share in measured["shares"])],
        ["p50 of the accepted", f"{measured['p50']:.0f} ms"],
        ["p99 of the accepted", f"{measured['p99']:.0f} ms"],
        ["p99 of the refused", f"{measured['refused p99']:.0f} ms"],
        ["accepted requests", f"{measured['accepted']:,}"],
        ["refused with 503 and `Retry-After`", f"{measured['refused']:,}"],
        ["other answers", f"{measured['other']:,}"],
        ["largest memory", f"{measured['memory']:.0f} MB"],
        ["memory growth", f"{measured['growth']:.0f} MB"],
    ]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, {POINTS} points per request, sent on a clock for "
            f"{OVERLOAD_SECONDS} s at {TIMES} times the best rate, whether or not earlier ones "
            "were answered.",
            table(["", ""], rows),
        ]
    )
