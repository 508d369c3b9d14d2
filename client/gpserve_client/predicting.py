"""Which requests a prediction is made of, and how their answers are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpserve_client import calls
from gpserve_client.answers import FloatArray, ModelInfo, Prediction, joined, prediction
from gpserve_client.calls import Call
from gpserve_client.options import Options

ROWS = 4096
"""Points of one request: a multiple of the server's tiles, so that cutting changes no bit."""


@dataclass(frozen=True)
class Plan:
    """The requests for points of shape (..., d), all of one version of the model."""

    X: FloatArray
    options: Options
    info: ModelInfo
    rows: int = ROWS

    def calls(self) -> list[Call[FloatArray]]:
        """The requests, in the order of the points; a covariance comes last."""
        d = self.X.shape[-1]
        flat = self.X.reshape(-1, d)
        if len(flat) == 0:
            raise ValueError(f"there are no points: the array has shape {self.X.shape}")
        if len(flat) == 1 and self.options == Options() and np.isfinite(flat).all():
            return [calls.predict_one(flat[0], self.info)]
        options, version = replace(self.options, covariance=False), self.info.version
        parts = np.split(flat, range(self.rows, len(flat), self.rows))
        asked = [calls.predict(part, options, version) for part in parts]
        if self.options.covariance:
            asked.append(calls.covariance(flat, self.options, version))
        return asked

    def answer(self, parts: Sequence[FloatArray]) -> Prediction:
        """The prediction, from the answers of `calls`."""
        d, shape = self.X.shape[-1], self.X.shape[:-1]
        K = parts[-1] if self.options.covariance else None
        values = joined(parts[:-1] if self.options.covariance else parts, shape)
        outside = self.info.outside(self.X)
        made = prediction(values, self.options, self.info.version, outside, d)
        return made if K is None else replace(made, covariance=K)
