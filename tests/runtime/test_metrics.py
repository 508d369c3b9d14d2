"""Counting many requests at once gives the same metrics as counting each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.runtime.metrics import Kind, LoopCounts, Metrics

SECONDS = [0.0004, 0.0005, 0.0006, 0.003, 0.003, 0.02, 100.0]
KIND = ("POST", "/predict", 200)


def lines(metrics: Metrics, prefix: str) -> list[str]:
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith(prefix)]


def test_many_at_once_are_what_each_alone_is() -> None:
    together, alone = Metrics(), Metrics()
    together.count_requests(KIND, SECONDS)
    for seconds in SECONDS:
        alone.count_requests(KIND, [seconds])
    assert lines(together, "http_requests_total") == lines(alone, "http_requests_total")
    durations = lines(together, "http_request_duration_seconds_bucket")
    assert durations == lines(alone, "http_request_duration_seconds_bucket")
    assert durations[0].endswith(" 2.0")  # a bucket holds its own upper end
    assert durations[1].split()[-1] == "3.0"
    assert durations[-1].endswith(" 7.0")


def test_the_requests_of_an_iteration_are_added_once() -> None:
    metrics = Metrics()
    calls: list[Sequence[float]] = []

    def record(kind: Kind, seconds: Sequence[float]) -> None:
        calls.append(seconds)

    metrics.count_requests = record  # type: ignore[method-assign]
    counts = LoopCounts(metrics)

    async def iteration() -> None:
        for seconds in (0.1, 0.2, 0.3):
            counts.begin()
            counts.end(KIND, seconds)
        assert calls == []
        await asyncio.sleep(0)

    asyncio.run(iteration())
    assert calls == [[0.1, 0.2, 0.3]]


def test_requests_in_progress_are_those_that_began_and_did_not_end() -> None:
    metrics = Metrics()
    counts = LoopCounts(metrics)

    async def iterations() -> None:
        for _ in range(5):
            counts.begin()
        await asyncio.sleep(0)
        assert lines(metrics, "http_requests_in_progress") == ["http_requests_in_progress 5.0"]
        counts.end(KIND, 0.1)
        counts.end(KIND, 0.2)
        await asyncio.sleep(0)

    asyncio.run(iterations())
    assert lines(metrics, "http_requests_in_progress") == ["http_requests_in_progress 3.0"]
