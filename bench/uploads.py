"""A million rows over HTTP: how fast, and with how much memory."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench import curl
from bench.memory import Watch
from bench.model import bare
from bench.servers import GPSERVE, Running, running
from bench.tabledata import csv_file, npy_file
from bench.tables import table

TITLE = "Uploads of a million rows"
ROWS = 1_000_000
SMALL = 500
TARGETS = {SMALL: 0.8, 2000: 0.85}
"""The share of the bare model's rate that a table should reach, by N."""

ROUNDS = 3
BARE_SECONDS = 4
ARRAY = 16_384
"""Points per call when the bare model predicts an array of many rows."""
NPY = "application/x-npy"


def measure() -> dict[str, Any]:
    """Measure every format, then tables beside the bare model."""
    with running("gpserve", GPSERVE, SMALL) as server:
        formats = _formats(server)
    return {"formats": formats, "beside": {size: _beside_the_model(size) for size in TARGETS}}


def _formats(server: Running) -> list[dict[str, Any]]:
    """Measure each input and output format."""
    url = server.url + "/predict"
    table_, array = csv_file(ROWS), npy_file(ROWS)
    ways = {
        "CSV to CSV, `on_bad_row=fail`": (url, table_, "text/csv", "text/csv"),
        "CSV to CSV, `on_bad_row=nan`": (f"{url}?on_bad_row=nan", table_, "text/csv", "text/csv"),
        "CSV to .npy": (url, table_, "text/csv", NPY),
        "CSV to JSON": (url, table_, "text/csv", "application/json"),
        ".npy to .npy": (url, array, NPY, NPY),
        ".npy to JSON": (url, array, NPY, "application/json"),
    }
    result = []
    for title, way in ways.items():
        with Watch(server) as memory:
            upload = curl.upload(*way)
        result.append(
            {
                "way": title,
                "seconds": upload.seconds,
                "first": upload.first_byte,
                "growth": memory.growth,
            }
        )
    return result


def _beside_the_model(size: int) -> dict[str, float]:
    """Measure CSV over HTTP between turns of the bare model; medians of the rounds."""
    rates, models, growth = [], [], 0.0
    with running("gpserve", GPSERVE, size) as server:
        curl.upload(server.url + "/predict", csv_file(20_000))
        before = _sustained(size)
        for _ in range(ROUNDS):
            with Watch(server) as memory:
                rates.append(ROWS / curl.upload(server.url + "/predict", csv_file(ROWS)).seconds)
            after = _sustained(size)
            models.append((before + after) / 2)
            growth, before = max(growth, memory.growth), after
    share = median(rate / model for rate, model in zip(rates, models, strict=True))
    return {"bare": median(models), "http": median(rates), "share": share, "growth": growth}


def _sustained(size: int) -> float:
    rates = bare("gpserve", size, [ARRAY], BARE_SECONDS)
    return float(rates[f"gpserve {ARRAY}, sustained"])


def markdown(measured: dict[str, Any]) -> str:
    """Return tables and targets."""
    formats = [
        [
            result["way"],
            f"{result['seconds']:.1f} s",
            f"{ROWS / result['seconds']:,.0f}",
            f"{result['first']:.2f} s",
            f"{result['growth']:.0f} MB",
        ]
        for result in measured["formats"]
    ]
    beside = [
        [
            str(size),
            f"{found['http']:,.0f}",
            f"{found['bare']:,.0f}",
            f"{found['share']:.0%} (target {TARGETS[int(size)]:.0%})",
            f"{found['growth']:.0f} MB (target 60 MB)",
        ]
        for size, found in measured["beside"].items()
    ]
    return "\n\n".join(
        [
            f"{ROWS:,} rows in one request, N = {SMALL}, by format; memory growth is that of the "
            "whole server (PSS), sampled four times per second.",
            table(["way", "time", "rows/s", "first byte", "memory growth"], formats),
            f"CSV to CSV between turns of the bare model, which predicts arrays of {ARRAY:,} "
            f"points for {BARE_SECONDS} s on the same core; medians of {ROUNDS} rounds:",
            table(["N", "rows/s over HTTP", "the model's", "share", "memory growth"], beside),
        ]
    )
