"""Which requests a prediction is made of, and how their answers are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpserve_client import _requests
from gpserve_client._requests import Call, Part
from gpserve_client.answers import FloatArray, ModelInfo, Prediction, joined, prediction
from gpserve_client.cutting import draws_apart, parts, rows_of_draws
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
