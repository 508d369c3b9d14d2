"""Slow Gaussian processes, so that tests have something to interrupt."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from service.gpr import GPR
from service.model import FloatArray


class SlowGPR(GPR):
    """Takes 0.1 s per tile, once its reference answers have been checked."""

    seconds_per_tile = 0.0

    @classmethod
    def load(cls, path: Path) -> Self:
        model = super().load(path)
        model.seconds_per_tile = 0.1
        return model

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        time.sleep(self.seconds_per_tile * (len(X) // self.large_tile))
        return super().predict(X, noise=noise)


class StuckGPR(GPR):
    """Never finishes a prediction of more than one tile."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        if len(X) > self.large_tile:
            time.sleep(1000)
        return super().predict(X, noise=noise)
