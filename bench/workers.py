"""Workers and threads: the gain of more of them, on one core and on two."""

from __future__ import annotations

from typing import Any

from bench import curl, wrk
from bench.places import SERVER_CORE
from bench.servers import GPSERVE, Running, running
from bench.tabledata import csv_file
from bench.tables import table

TITLE = "Workers and threads"
SMALL, LARGE = 500, 2000
SECONDS = 4
ROWS = 100_000
SHAPES = ((1, 1, 8), (1, 2, 8), (2, 1, 2), (2, 1, 8), (2, 2, 8))
"""Cores, workers, threads."""


def measure() -> list[dict[str, Any]]:
    """Measure three kinds of load for each shape."""
    return [_shape(*shape) for shape in SHAPES]


def _shape(cores: int, workers: int, threads: int) -> dict[str, Any]:
    arguments = [*GPSERVE, "--workers", str(workers), "--threads", str(threads)]
    environment = {"GPSERVE_WORKERS": str(workers), "GPSERVE_THREADS": str(threads)}
    core = SERVER_CORE if cores == 1 else None
    result: dict[str, Any] = {"cores": cores, "workers": workers, "threads": threads}
    with running("gpserve", arguments, SMALL, core=core, environment=environment) as server:
        wrk.load(server, 16, 1)
        result["one"] = wrk.load(server, 16, SECONDS).rate
    with running("gpserve", arguments, LARGE, core=core, environment=environment) as server:
        result["rows"] = ROWS / curl.upload(server.url + "/predict", csv_file(ROWS)).seconds
        _hundred(server, 1)
        result["hundred"] = _hundred(server, SECONDS) * 100
        result["memory"] = server.megabytes()
    return result


def _hundred(server: Running, seconds: float) -> float:
    return wrk.load(server, 16, seconds, dialect="hundred", refusals=True).rate


def markdown(measured: list[dict[str, Any]]) -> str:
    """Return one row for each shape."""
    rows = [
        [
            *(str(result[key]) for key in ("cores", "workers", "threads")),
            *(f"{result[key]:,.0f}" for key in ("one", "hundred", "rows")),
            f"{result['memory']:.0f} MB",
        ]
        for result in measured
    ]
    head = [
        "cores",
        "workers",
        "threads",
        "one-point requests/s",
        "points/s by 100",
        "CSV rows/s",
        "memory",
    ]
    return "\n\n".join(
        [
            f"One point per request at N = {SMALL}; 100 points per request from 16 clients and one "
            f"upload of {ROWS:,} rows at N = {LARGE}; memory (PSS) after them. With two cores the "
            "client shares them with the server, which affects the one-point column most.",
            table(head, rows),
        ]
    )
