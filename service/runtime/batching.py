"""Requests that wait at the same time are answered by one product.

On an event loop the first request waits for two iterations of the loop, and longer while each of
them brings another request: the loop accepts one connection per iteration, so clients that open one
per call (UM-Bridge's, curl) would be computed in pairs. There is no timer. On threads alone, the
thread that gets the lock computes for all that wait, unless to compute takes less than to wait.

A batch that takes longer than `INLINE_SECONDS` on an idle processor is computed on a thread, and
the next one is collected meanwhile. That thread takes the next batch itself: under overload the
loop is busy with refusals, and would let it wait.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from service.model import BoolArray, FloatArray, Model
from service.runtime.backlog import Backlog
from service.runtime.metrics import Metrics
from service.runtime.pool import TilePool
from service.services.points import Rows
from service.services.prediction import extrapolated

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits in a batch: its points, and later its part of the result.

    Attributes
    ----------
    settled : called with this object once it has a result or an error
    error : what the model raised, or None
    P : mean and variance, shape (n, 2)
    outside : which points are outside the training range, shape (n,)
    queued : `perf_counter()` when it began to wait
    waited, took : seconds before and during the computation
    """

    model: Model
    rows: Rows
    noise: bool
    settled: Callable[[Waiting], None]
    queued: float = field(default_factory=perf_counter, init=False)
    error: Exception | None = field(default=None, init=False)
    P: FloatArray = field(init=False)
    outside: BoolArray = field(init=False)
    waited: float = field(init=False)
    took: float = field(init=False)


Batch = list[Waiting]

INLINE_SECONDS = 0.003
_WAKING_SECONDS = 0.0003
"""About what it costs that threads wait for each other."""

_MOST_TURNS = 16  # to read as many requests takes about a millisecond


class Batcher:
    """The waiting requests of one process."""

    def __init__(self, backlog: Backlog, pool: TilePool, metrics: Metrics) -> None:
        self.backlog = backlog
        self._pool = pool
        self._metrics = metrics
        self._pending: deque[Waiting] = deque()
        self._turn = threading.Lock()
        self._taking = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._scheduled = False
        self._running = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Batch on this event loop from now on."""
        self._loop = loop
        self._executor = ThreadPoolExecutor(thread_name_prefix="batch")

    def submit(
        self, model: Model, rows: Rows, noise: bool, settled: Callable[[Waiting], None]
    ) -> None:
        """Have `settled` called with the result, on the event loop that was attached."""
        assert self._loop is not None
        self.backlog.add(len(rows))
        self._pending.append(Waiting(model, rows, noise, settled))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._gather, 0, _MOST_TURNS)

    def predict(self, model: Model, rows: Rows, noise: bool) -> Waiting:
        """Wait for the result, on a thread that is not the event loop's.

        Raises whatever the model raised.
        """
        future: Future[Waiting] = Future()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.submit, model, rows, noise, future.set_result)
        else:
            self._predict_without_loop(Waiting(model, rows, noise, future.set_result), future)
        waiting = future.result()
        if waiting.error is not None:
            raise waiting.error
        return waiting

    def _predict_without_loop(self, waiting: Waiting, future: Future[Waiting]) -> None:
        points = len(waiting.rows)
        self.backlog.add(points)
        if self.backlog.at_best(points) < _WAKING_SECONDS:
            _settle(self._compute([waiting]))
        else:
            self._pending.append(waiting)
            with self._turn:
                while not future.done():
                    _settle(self._compute(self._take()))

    def _gather(self, seen: int, turns: int) -> None:
        """Compute once a turn of the loop has brought no request, or after so many turns."""
        assert self._loop is not None
        pending = len(self._pending)
        if pending > seen and turns:
            self._loop.call_soon(self._gather, pending, turns - 1)
        else:
            self._flush()

    def _flush(self) -> None:
        self._scheduled = False
        while self._running < max(1, self._pool.width) and (batch := self._take()):
            points = sum(len(waiting.rows) for waiting in batch)
            if self.backlog.at_best(points) < INLINE_SECONDS:
                _settle(self._compute(batch))
            else:
                assert self._loop is not None
                self._running += 1
                work = self._loop.run_in_executor(self._executor, self._compute_all, batch)
                work.add_done_callback(self._idle)

    def _compute_all(self, batch: Batch) -> None:
        assert self._loop is not None
        while batch:
            self._loop.call_soon_threadsafe(_settle, self._compute(batch))
            batch = self._take()

    def _idle(self, work: asyncio.Future[None]) -> None:
        self._running -= 1
        work.result()
        self._flush()  # what came after the thread's last look

    def _take(self) -> Batch:
        """Requests of one kind, in order, with fewer points than a large tile together."""
        batch: Batch = []
        points = 0
        with self._taking:
            while self._pending:
                waiting = self._pending[0]
                points += len(waiting.rows)
                if batch and not (
                    waiting.model is batch[0].model
                    and waiting.noise == batch[0].noise
                    and points < waiting.model.large_tile
                ):
                    break
                batch.append(self._pending.popleft())
        return batch

    def _compute(self, batch: Batch) -> Batch:
        started = perf_counter()
        first = batch[0]
        X = np.array([row for waiting in batch for row in waiting.rows])
        try:
            if len(X) < first.model.large_tile:
                P = first.model.predict(X, noise=first.noise)
            else:
                P = self._pool.predict(first.model, X, first.noise)
            outside = extrapolated(first.model, X)
        except Exception as error:  # whatever the model raises belongs to those who asked
            self.backlog.done(len(X))
            for waiting in batch:
                waiting.error = error
            return batch
        took = perf_counter() - started
        a = 0
        for waiting in batch:
            b = a + len(waiting.rows)
            waiting.P, waiting.outside = P[a:b], outside[a:b]
            waiting.waited, waiting.took = started - waiting.queued, took
            a = b
        self.backlog.done(len(X), took)
        self._metrics.count_points(len(X), took)
        return batch


def _settle(batch: Batch) -> None:
    for waiting in batch:
        try:
            waiting.settled(waiting)
        except Exception:  # belongs to this request alone
            log.exception("a prediction was not delivered")
