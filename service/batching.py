"""Requests that wait together are answered by one product.

On an event loop the first waiting request schedules a flush for the end of the loop's next turn,
so everything that has arrived by then shares the product and nothing waits for a timer. On threads
alone, whoever gets the turn computes for all who wait. A batch that takes more than
`INLINE_SECONDS` at best would hold the loop too long: it is computed on a thread, and the next one
gathers meanwhile. At best, since a busy neighbour is no reason to leave the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

import numpy as np

from service.backlog import Backlog
from service.metrics import Metrics
from service.model import FloatArray, Model
from service.services.points import Rows
from service.services.prediction import BoolArray, extrapolated
from service.tilepool import TilePool

INLINE_SECONDS = 0.003


class Share:
    """One request's part of a batch: points on the way in, numbers on the way out."""

    __slots__ = ("P", "future", "model", "noise", "outside", "queued", "rows", "took", "waited")

    P: FloatArray
    """Mean and variance, shape (n, 2)."""
    outside: BoolArray
    """Which points lie outside the training range, shape (n,)."""
    waited: float
    took: float

    def __init__(
        self,
        model: Model,
        rows: Rows,
        noise: bool,
        future: asyncio.Future[None] | Future[None],
    ) -> None:
        self.model = model
        self.rows = rows
        self.noise = noise
        self.future = future
        self.queued = perf_counter()


Batch = list[Share]


class Batcher:
    """The waiting requests of one process."""

    def __init__(self, backlog: Backlog, pool: TilePool, metrics: Metrics) -> None:
        self.backlog = backlog
        self._pool = pool
        self._metrics = metrics
        self._pending: deque[Share] = deque()
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._scheduled = False
        self._running = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Batch on this event loop from now on."""
        self._loop = loop
        self._executor = ThreadPoolExecutor(thread_name_prefix="batch")

    async def predict(self, model: Model, rows: Rows, noise: bool) -> Share:
        """Wait for the answer, on the event loop that was attached."""
        assert self._loop is not None
        share = Share(model, rows, noise, self._loop.create_future())
        self.backlog.add(len(rows))
        self._pending.append(share)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._wait_a_turn)
        await share.future  # type: ignore[misc]
        return share

    def predict_on_thread(self, model: Model, rows: Rows, noise: bool) -> Share:
        """Wait for the answer on a thread that is not the event loop's."""
        if self._loop is not None:
            coroutine = self.predict(model, rows, noise)
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        future: Future[None] = Future()
        share = Share(model, rows, noise, future)
        self.backlog.add(len(rows))
        self._pending.append(share)
        with self._turn:
            while not future.done():
                self._settle(*self._compute(self._take()))
        future.result()
        return share

    def _wait_a_turn(self) -> None:
        """Let requests join that were read while those of the last turn were parsed."""
        assert self._loop is not None
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        while self._pending and self._running < max(1, self._pool.width):
            batch = self._take()
            points = sum(len(share.rows) for share in batch)
            if self.backlog.at_best(points) < INLINE_SECONDS:
                self._settle(*self._compute(batch))
            else:
                self._send(batch)

    def _send(self, batch: Batch) -> None:
        assert self._loop is not None
        self._running += 1
        work = self._loop.run_in_executor(self._executor, self._compute, batch)
        work.add_done_callback(self._received)

    def _received(self, work: asyncio.Future[tuple[Batch, BaseException | None]]) -> None:
        self._running -= 1
        self._settle(*work.result())
        self._flush()

    def _take(self) -> Batch:
        """Requests of one kind, in order, with fewer points than a large tile together."""
        first = self._pending.popleft()
        batch, points = [first], len(first.rows)
        while self._pending:
            share = self._pending[0]
            points += len(share.rows)
            if (
                share.model is not first.model
                or share.noise != first.noise
                or points >= share.model.large_tile
            ):
                break
            batch.append(self._pending.popleft())
        return batch

    def _compute(self, batch: Batch) -> tuple[Batch, BaseException | None]:
        started = perf_counter()
        first = batch[0]
        X = np.array([row for share in batch for row in share.rows])
        try:
            if len(X) < first.model.large_tile:
                P = first.model.predict(X, noise=first.noise)
            else:
                P = self._pool.predict(first.model, X, first.noise)
            outside = extrapolated(first.model, X)
        except Exception as error:  # whatever the model raises belongs to those who asked
            self.backlog.done(len(X))
            return batch, error
        took = perf_counter() - started
        for share, a, b in _spans(batch):
            share.P, share.outside = P[a:b], outside[a:b]
            share.waited, share.took = started - share.queued, took
        self.backlog.done(len(X), took)
        self._metrics.predicted(len(X), took)
        return batch, None

    def _settle(self, batch: Batch, error: BaseException | None) -> None:
        for share in batch:
            if share.future.done():  # the caller has gone
                continue
            if error is None:
                share.future.set_result(None)
            else:
                share.future.set_exception(error)


def _spans(batch: Batch) -> Iterator[tuple[Share, int, int]]:
    a = 0
    for share in batch:
        b = a + len(share.rows)
        yield share, a, b
        a = b
