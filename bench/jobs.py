"""Jobs: the gain of a second worker, and the memory of a server that accepts an upload."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import click

from bench import curl
from bench.jobstack import JobStack, job_stack
from bench.memory import Watch
from bench.places import BUILD
from bench.tabledata import table_within
from bench.tables import table

TITLE = "Jobs"
ROWS = 1_000_000
ROUNDS = 3
LARGE_ROWS = 12_000_000
"""About 500 MB as CSV."""

_PIECE = 1 << 20


def measure() -> dict[str, Any]:
    """Measure rounds on one worker and on two; then a large upload without a worker."""
    file = _table(ROWS)
    rounds = [{workers: _round(workers, file) for workers in (1, 2)} for _ in range(ROUNDS)]
    return {
        "one": [result[1] for result in rounds],
        "two": [result[2] for result in rounds],
        "upload": _upload(),
    }


def _table(rows: int) -> Path:
    file = BUILD / f"served{rows}.csv"
    if not file.exists():
        with job_stack(0) as stack, urlopen(f"{stack.server.url}/model", timeout=60) as answer:
            table_within(json.load(answer)["training_range"], rows, file)
    return file


def _round(workers: int, file: Path) -> dict[str, Any]:
    with job_stack(workers) as stack:
        ended = stack.run(file)
        with Watch(stack.server) as memory:
            started = time.perf_counter()
            job = _digest_of_result(stack, ended.id)
            fetched = time.perf_counter() - started
        curl.upload(stack.server.url + "/predict", file)
    with curl.ANSWER.open("rb") as answer:
        equal = hashlib.file_digest(answer, "sha256").hexdigest() == job
    click.echo(f"{workers} workers: {ended.seconds:.1f} s, result equal: {equal}")
    return {
        "seconds": ended.seconds,
        "fetched": fetched,
        "growth": memory.growth,
        "equal": equal,
    }


def _digest_of_result(stack: JobStack, id: str) -> str:
    digest = hashlib.sha256()
    with urlopen(f"{stack.server.url}/jobs/{id}/results", timeout=600) as answer:
        while piece := answer.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _upload() -> dict[str, float]:
    file = _table(LARGE_ROWS)
    with job_stack(0) as stack:
        with Watch(stack.server) as memory:
            started = time.perf_counter()
            id = stack.submit(file)
            seconds = time.perf_counter() - started
        stack.dismiss(id)
    return {
        "megabytes": file.stat().st_size / 1e6,
        "seconds": seconds,
        "idle": memory.before,
        "growth": memory.growth,
    }


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the targets."""
    one, two, upload = (measured[key] for key in ("one", "two", "upload"))
    ratio = median(a["seconds"] / b["seconds"] for a, b in zip(one, two, strict=True))
    rows = [
        [
            title,
            f"{median(result['seconds'] for result in rounds):.1f} s",
            f"{ROWS / median(result['seconds'] for result in rounds):,.0f}",
            f"{median(result['fetched'] for result in rounds):.1f} s",
            f"{max(result['growth'] for result in rounds):.0f} MB",
            "yes" if all(result["equal"] for result in rounds) else "NO",
        ]
        for title, rounds in (("one worker, one core", one), ("two workers, two cores", two))
    ]
    head = ["", "job", "rows/s", "result fetched", "server's growth", "same bytes"]
    return "\n\n".join(
        [
            f"{ROWS:,} rows of CSV as a job on the bundled model, from acceptance to end; "
            f"medians of {ROUNDS} rounds. The result is compared with the synchronous answer.",
            table(head, rows),
            f"Two workers: {ratio:.2f} times as fast as one.",
            f"A server that accepts {upload['megabytes']:.0f} MB of CSV as a job "
            f"({upload['seconds']:.1f} s) grows by {upload['growth']:.0f} MB above its idle "
            f"{upload['idle']:.0f} MB (target 100 MB).",
        ]
    )
