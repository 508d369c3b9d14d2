"""Which requests a prediction is made of, and how their answers are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpserve_client import calls
from gpserve_client.answers import FloatArray, ModelInfo, Prediction, joined, prediction
from gpserve_client.calls import Call, Part
from gpserve_client.cutting import parts, rows_with
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
        """The requests, in the order of the points; a covariance comes last."""
        d = self.X.shape[-1]
        flat = self.X.reshape(-1, d)
        if len(flat) == 0:
            raise ValueError(f"there are no points: the array has shape {self.X.shape}")
        if len(flat) == 1 and self.options == Options() and np.isfinite(flat).all():
            return [calls.predict_one(flat[0], self.info)]
        options, version = replace(self.options, covariance=False), self.info.version
        cut = parts(len(flat), rows_with(options.samples, self.rows), self.at_once)
        asked = [calls.predict(flat[part], options, version) for part in cut]
        if len(asked) > 1:
            _refuse_nonfinite(flat)
        if self.options.covariance:
            asked.append(calls.covariance(flat, self.options, version))
        return asked

    def answer(self, answers: Sequence[Part]) -> Prediction:
        """The prediction, from the answers of `calls`."""
        d, shape = self.X.shape[-1], self.X.shape[:-1]
        arrays = [answer.values for answer in answers]
        K = arrays.pop() if self.options.covariance else None
        outside = self.info.outside(self.X)
        made = prediction(joined(arrays, shape), self.options, self.info.version, outside, d)
        return replace(made, covariance=K, answered_by=frozenset(part.server for part in answers))
