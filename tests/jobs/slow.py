"""A Gaussian process that takes its time, so that there is something to interrupt."""

from __future__ import annotations

import time

from service.gpr import GPR
from service.model import FloatArray


class SlowGPR(GPR):
    """A tenth of a second a tile, in a call that nothing can interrupt."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        if len(X) >= self.large_tile and len(X) != 256:  # not when it proves itself
            time.sleep(0.1 * len(X) / self.large_tile)
        return super().predict(X, noise=noise)


class StuckGPR(GPR):
    """Large arrays take for ever."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        if len(X) > self.large_tile:
            time.sleep(1000)
        return super().predict(X, noise=noise)
