"""Split a prediction into requests, and join their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpserve_client import _requests
from gpserve_client._requests import PartialAnswer, Request
from gpserve_client.answers import FloatArray, ModelInfo, Prediction, to_prediction
from gpserve_client.errors import ServiceError
from gpserve_client.options import Options

ROWS = 4096
"""Default maximum number of points per request."""

TILE = 256
"""Points that the server computes at a time, counted from the first point of a request. Parts that
start at a multiple of it and are not shorter than it are answered with the bits of the whole."""

SMALLEST = 4 * TILE
"""Fewer points are not worth a request of their own."""

SAMPLE_VALUES = 1_000_000
"""Points times samples that the server accepts in one request by default."""


@dataclass(frozen=True)
class Plan:
    """The requests of a prediction, all for the same version of the model.

    Attributes
    ----------
    X : the points, shape (..., d)
    info : of the model that is to answer
    rows : maximum number of points per request
    concurrency : number of requests at the same time
    """

    X: FloatArray
    options: Options
    info: ModelInfo
    rows: int
    concurrency: int

    def requests(self) -> list[Request[PartialAnswer]]:
        """Return the requests in the order of the points.

        Samples that need requests of their own come after all others, a covariance comes last.
        """
        flat = self._flat
        if len(flat) == 0:
            raise ValueError(f"there are no points: the array has shape {self.X.shape}")
        if len(flat) == 1 and self.options == Options() and np.isfinite(flat).all():
            return [_requests.predict_one(flat[0], self.info)]
        requests = self._split(self._first_options)
        if self._samples_apart:
            requests += self._split(replace(self._drawing, pathwise=True))
        if len(requests) > 1:
            _refuse_nonfinite(flat)
        if self.options.covariance:
            requests.append(_requests.covariance(flat, self.options, self.info.version))
        return requests

    def join(self, answers: Sequence[PartialAnswer]) -> Prediction:
        """Return the prediction, given the answers of `requests`."""
        arrays = [answer.values for answer in answers]
        K = arrays.pop() if self.options.covariance else None
        outside, d = self.info.outside(self.X), self.X.shape[-1]
        values = self._values(arrays)
        joined = to_prediction(values, self.options, self.info.version, outside, d)
        servers = frozenset(answer.server for answer in answers)
        return replace(joined, covariance=K, answered_by=servers)

    @property
    def _flat(self) -> FloatArray:
        return self.X.reshape(-1, self.X.shape[-1])

    @property
    def _samples_apart(self) -> bool:
        return needs_samples_apart(len(self._flat), self.options.samples)

    @property
    def _drawing(self) -> Options:
        """The options of the requests for samples alone."""
        given = self.options
        return Options(samples=given.samples, seed=given.seed, pathwise=given.pathwise)

    @property
    def _first_options(self) -> Options:
        """The options of the requests for mean and variance."""
        options = replace(self.options, covariance=False)
        apart = self._samples_apart
        return replace(options, samples=0, seed=0, pathwise=False) if apart else options

    def _split(self, options: Options) -> list[Request[PartialAnswer]]:
        flat, rows = self._flat, self.rows
        if options.samples:
            rows = min(rows, max(1, SAMPLE_VALUES // options.samples))
        parts = list(split(len(flat), rows, self.concurrency))
        if options.samples and len(parts) > 1:
            options = replace(options, pathwise=True)  # parts must show the same functions
        return [_requests.predict(flat[part], options, self.info.version) for part in parts]

    def _values(self, arrays: Sequence[FloatArray]) -> FloatArray:
        """Join the arrays to all numbers of each point, shape (..., k)."""
        shape = self.X.shape[:-1]
        if not self._samples_apart:
            return _join(arrays, shape)
        first = sum(1 for _ in split(len(self._flat), self.rows, self.concurrency))
        samples = _join(arrays[first:], shape)[..., Options().width(0) :]
        return np.concatenate([_join(arrays[:first], shape), samples], axis=-1)


def needs_samples_apart(n: int, samples: int) -> bool:
    """Whether samples of n points need requests of their own, apart from mean and variance.

    Pathwise samples are the same functions however the points are split. Mean and variance keep
    their bits only in parts of at least a tile, thus of up to two tiles, which may be too large for
    the samples.
    """
    return samples * n > SAMPLE_VALUES and samples * 2 * TILE > SAMPLE_VALUES


def split(n: int, rows: int, concurrency: int) -> Iterator[slice]:
    """Split n points into parts of at most `rows`, which get smaller towards the end.

    Connections are rarely spread evenly: six of eight may lead to the same replica, which then
    still has six parts to answer when all others are done. Each part is half of what remains per
    concurrent request (guided self-scheduling, Polychronopoulos and Kuck 1987), so that little
    remains at the end.
    """
    largest = rows // TILE * TILE or rows
    smallest = min(SMALLEST, largest)
    start = 0
    while start < n:
        share = (n - start) // (2 * concurrency) // smallest * smallest
        size = _without_short_rest(min(largest, max(smallest, share)), n - start, rows)
        yield slice(start, start + size)
        start += size


def _without_short_rest(size: int, remaining: int, rows: int) -> int:
    """Change the size of a part so that at least a tile or nothing remains, if `rows` allows."""
    if not size < remaining < size + TILE:
        return size
    if remaining <= rows:
        return remaining
    return size - TILE if size > TILE else size


def _join(parts: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """Concatenate the parts of an answer and give them the leading shape of the points."""
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return values.reshape(*shape, values.shape[-1])


def _refuse_nonfinite(flat: FloatArray) -> None:
    """Raise the error of the service, which would count the points from the start of a part."""
    bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    if bad.size:
        row = int(bad[0])
        detail = f"point {row} of the array is not finite: {flat[row].tolist()}"
        raise ServiceError(422, {"detail": detail, "row": row})
