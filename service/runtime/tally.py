"""What the event loop's requests add to the metrics, once a turn of the loop instead of each."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from service.runtime.metrics import Metrics

Kind = tuple[str, str, int]
"""Method, route, status."""


class Tally:
    """Counts requests on the event loop's thread and hands the sums to the metrics.

    A metric takes a lock for each number that it adds: counted one by one, requests of one point
    would spend a tenth of their time there.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._scheduled = False
        self._running = 0
        self._seconds: defaultdict[Kind, list[float]] = defaultdict(list)

    def begin(self) -> None:
        """Count a request that has arrived."""
        self._running += 1
        self._schedule()

    def leave(self) -> None:
        """Take back a request that somebody else counts."""
        self._running -= 1
        self._schedule()

    def end(self, kind: Kind, seconds: float) -> None:
        """Count a request that has been answered."""
        self._running -= 1
        self._seconds[kind].append(seconds)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        running, self._running = self._running, 0
        if running:
            self._metrics.in_progress.inc(running)
        seconds, self._seconds = self._seconds, defaultdict(list)
        for (method, route, code), each in seconds.items():
            self._metrics.answered(method, route, code, *each)
