"""Which requests a prediction is made of, and how their answers are put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpserve_client import _requests
from gpserve_client._requests import Call, Part
from gpserve_client.answers import FloatArray, ModelInfo, Prediction, joined, prediction
from gpserve_client.errors import ServiceError
from gpserve_client.options import Options

ROWS = 4096
"""Points of one request at most."""


def _refuse_nonfinite(flat: FloatArray) -> None:
    """In the service's words, which would count a part's points from its own first one."""
    bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    if bad.size:
        row = int(bad[0])
        detail = f"point {row} of the array is not finite: {flat[row].tolist()}"
        raise ServiceError(422, {"detail": detail, "row": row})


@dataclass(frozen=True)
class Plan:
    """The requests for points of shape (..., d), all of one version of the model."""

    X: FloatArray
    options: Options
    info: ModelInfo
    rows: int
    at_once: int

    def calls(self) -> list[Call[Part]]:
        """The requests in the order of the points; then draws that are apart; then a covariance."""
        flat = self._flat
        if len(flat) == 0:
            raise ValueError(f"there are no points: the array has shape {self.X.shape}")
        if len(flat) == 1 and self.options == Options() and np.isfinite(flat).all():
            return [_requests.predict_one(flat[0], self.info)]
        asked = self._cut(self._numbers)
        if self._apart:
            asked += self._cut(Options(samples=self.options.samples, seed=self.options.seed))
        if len(asked) > 1:
            _refuse_nonfinite(flat)
        if self.options.covariance:
            asked.append(_requests.covariance(flat, self.options, self.info.version))
        return asked

    @property
    def _flat(self) -> FloatArray:
        return self.X.reshape(-1, self.X.shape[-1])

    @property
    def _apart(self) -> bool:
        return draws_apart(len(self._flat), self.options.samples)

    @property
    def _numbers(self) -> Options:
        """What is asked of each point, without draws that are apart."""
        options = replace(self.options, covariance=False)
        return replace(options, samples=0, seed=0) if self._apart else options

    def _cut(self, options: Options) -> list[Call[Part]]:
        flat, rows = self._flat, self.rows
        if options.samples:
            rows = rows_of_draws(options.samples, rows)
        cut = parts(len(flat), rows, self.at_once)
        return [_requests.predict(flat[part], options, self.info.version) for part in cut]

    def answer(self, answers: Sequence[Part]) -> Prediction:
        """The prediction, from the answers of `calls`."""
        arrays = [answer.values for answer in answers]
        K = arrays.pop() if self.options.covariance else None
        outside, d = self.info.outside(self.X), self.X.shape[-1]
        values = self._values(arrays)
        made = prediction(values, self.options, self.info.version, outside, d)
        return replace(made, covariance=K, answered_by=frozenset(part.server for part in answers))

    def _values(self, arrays: Sequence[FloatArray]) -> FloatArray:
        """All numbers of each point, shape (..., k)."""
        shape = self.X.shape[:-1]
        if not self._apart:
            return joined(arrays, shape)
        first = sum(1 for _ in parts(len(self._flat), self.rows, self.at_once))
        draws = joined(arrays[first:], shape)[..., Options().width(0) :]
        return np.concatenate([joined(arrays[:first], shape), draws], axis=-1)


TILE = 256
"""Points that the server computes at a time, counted from the first: where a cut is a multiple of
it, and no part is shorter, cutting changes no bit."""

SMALLEST = 4 * TILE
"""Points that are not worth two requests."""

SAMPLE_VALUES = 1_000_000
"""Points times draws that a server takes in a request, unless its settings say otherwise."""


def rows_of_draws(samples: int, rows: int) -> int:
    """Points of one request with so many draws of each: `rows`, or fewer."""
    return min(rows, max(1, SAMPLE_VALUES // samples))


def draws_apart(n: int, samples: int) -> bool:
    """Whether the draws of n points are asked for by themselves, apart from mean and variance.

    They are the same functions however they are cut. The others keep their bits only where no part
    is shorter than a tile, which takes parts of up to two: so many draws would be too much.
    """
    return samples * n > SAMPLE_VALUES and samples * 2 * TILE > SAMPLE_VALUES


def parts(n: int, rows: int, at_once: int) -> Iterator[slice]:
    """Cut n points into parts of at most `rows`, smaller ones towards the end.

    Connections are seldom spread evenly: of eight, six may lead to the same replica, which then
    has six parts left when nothing waits any more. A part is half of what remains for each of the
    requests `at_once` (guided self-scheduling, Polychronopoulos and Kuck 1987), so that little
    remains.
    """
    largest = rows // TILE * TILE or rows
    smallest = min(SMALLEST, largest)
    start = 0
    while start < n:
        share = (n - start) // (2 * at_once) // smallest * smallest
        size = _whole(min(largest, max(smallest, share)), n - start, rows)
        yield slice(start, start + size)
        start += size


def _whole(size: int, left: int, rows: int) -> int:
    """The size of a part that leaves nothing, or no less than a tile if `rows` allow it."""
    if not size < left < size + TILE:
        return size
    if left <= rows:
        return left
    return size - TILE if size > TILE else size
