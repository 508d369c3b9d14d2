"""Counting many requests at once says the same as counting each."""

from __future__ import annotations

import asyncio

from service.runtime.metrics import Metrics, Tally

SECONDS = [0.0004, 0.0005, 0.0006, 0.003, 0.003, 0.02, 100.0]
KIND = ("POST", "/predict", 200)


def lines(metrics: Metrics, prefix: str) -> list[str]:
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith(prefix)]


def test_many_at_once_are_what_each_alone_is() -> None:
    together, alone = Metrics(), Metrics()
    together.answered(*KIND, *SECONDS)
    for seconds in SECONDS:
        alone.answered(*KIND, seconds)
    assert lines(together, "http_requests_total") == lines(alone, "http_requests_total")
    durations = lines(together, "http_request_duration_seconds_bucket")
    assert durations == lines(alone, "http_request_duration_seconds_bucket")
    assert durations[0].endswith(" 2.0")  # a bucket holds its own upper end
    assert durations[1].split()[-1] == "3.0"
    assert durations[-1].endswith(" 7.0")


def test_a_turn_of_the_loop_is_one_entry() -> None:
    metrics = Metrics()
    calls: list[tuple[float, ...]] = []
    metrics.answered = lambda *said: calls.append(said[3:])  # type: ignore[method-assign]
    tally = Tally(metrics)

    async def turn() -> None:
        for seconds in (0.1, 0.2, 0.3):
            tally.begin()
            tally.end(KIND, seconds)
        assert calls == []
        await asyncio.sleep(0)

    asyncio.run(turn())
    assert calls == [(0.1, 0.2, 0.3)]


def test_requests_in_progress_are_those_that_began_and_neither_ended_nor_left() -> None:
    metrics = Metrics()
    tally = Tally(metrics)

    async def turns() -> None:
        for _ in range(5):
            tally.begin()
        await asyncio.sleep(0)
        assert lines(metrics, "http_requests_in_progress") == ["http_requests_in_progress 5.0"]
        tally.end(KIND, 0.1)
        tally.leave()
        await asyncio.sleep(0)

    asyncio.run(turns())
    assert lines(metrics, "http_requests_in_progress") == ["http_requests_in_progress 3.0"]
