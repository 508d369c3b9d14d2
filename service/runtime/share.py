"""One request's part of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from time import perf_counter

from service.model import FloatArray, Model
from service.services.points import Rows
from service.services.prediction import BoolArray


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


def spans(batch: Batch) -> Iterator[tuple[Share, int, int]]:
    """Each share and its rows [a, b) of the batch."""
    a = 0
    for share in batch:
        b = a + len(share.rows)
        yield share, a, b
        a = b
