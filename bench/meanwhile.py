"""Latency of small requests while a million rows are answered on the same core."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from bench import curl, wrk
from bench.openloop import Call, Responses, send
from bench.places import on_client_core
from bench.servers import GPSERVE, Running, running
from bench.tabledata import csv_file
from bench.tables import table

TITLE = "Small requests while a million rows are answered"
TRAINING_POINTS = 500
ROWS = 1_000_000
POINT = b'{"x1":0.1,"x2":0.2,"x3":0.3,"x4":0.4}'
RATE = 50
PROBES = 10
CLIENTS = 8
SECONDS = 8


def measure() -> dict[str, Any]:
    """Measure small requests on a clock, then from clients without pause, with probes."""
    with on_client_core(), running("gpserve", GPSERVE, TRAINING_POINTS) as server:
        return {"clock": _on_a_clock(server), "clients": _with_clients(server)}


def _on_a_clock(server: Running) -> dict[str, float]:
    calls = [Call(server.url + "/predict", RATE, POINT), Call(server.url + "/healthz", PROBES)]
    with curl.uploading(server.url + "/predict", csv_file(ROWS)) as process:
        points, probes = asyncio.run(_send(calls, process.wait))
        upload = curl.read(process.communicate()[0])
    percentiles = {f"p{q}": points.percentile(q) for q in (50, 99)}
    return {
        "rate": RATE,
        "upload": upload.seconds,
        **percentiles,
        "max": points.percentile(100),
        **_of_probes(probes),
    }


def _with_clients(server: Running) -> dict[str, float]:
    loads: list[wrk.Load] = []
    work = threading.Thread(target=lambda: loads.append(wrk.load(server, CLIENTS, SECONDS)))
    with curl.uploading(server.url + "/predict", csv_file(ROWS)) as process:
        time.sleep(1)
        work.start()
        (probes,) = asyncio.run(_send([Call(server.url + "/healthz", PROBES)], work.join))
        if process.poll() is not None:
            raise RuntimeError("the upload ended before the clients did: increase ROWS")
    (load,) = loads
    return {
        "rate": load.rate,
        "p50": load.p50,
        "p99": load.p99,
        "max": load.max,
        **_of_probes(probes),
    }


async def _send(calls: list[Call], wait: Callable[[], object]) -> list[Responses]:
    """Send all calls on their clocks until `wait` returns."""
    ended = asyncio.Event()
    tasks = [asyncio.create_task(send(call, ended)) for call in calls]
    await asyncio.to_thread(wait)
    ended.set()
    responses = await asyncio.gather(*tasks)
    for part in responses:
        if part.count(200) != len(part.statuses):
            raise RuntimeError(f"statuses {sorted(set(part.statuses))}, expected only 200")
    return responses


def _of_probes(probes: Responses) -> dict[str, float]:
    return {"probe p99": probes.percentile(99), "probe max": probes.percentile(100)}


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the targets."""
    titles = {"clock": "sent on a clock", "clients": f"{CLIENTS} clients without pause"}
    rows = [
        [
            titles[name],
            f"{latency['rate']:,.0f}/s",
            *(f"{latency[key]:.1f} ms" for key in ("p50", "p99", "max", "probe p99", "probe max")),
        ]
        for name, latency in measured.items()
    ]
    head = ["one-point requests", "rate", "p50", "p99", "max", "`/healthz` p99", "`/healthz` max"]
    return "\n\n".join(
        [
            f"N = {TRAINING_POINTS}, {ROWS:,} CSV rows in and out. Targets: p99 under 10 ms, "
            "`/healthz` within 50 ms.",
            table(head, rows),
        ]
    )
