"""Simple models for testing the server."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np

from service.gpr import GPR
from service.model import Description, FloatArray, Model
from tests.helpers.patience import PATIENCE_SECONDS, until

GATE = "TOYS_GATE"
GEARS = ("automatic", "manual, 5 gears")
CYLINDERS = ("4", "6", "8")


class Sum(Model):
    """Mean: the sum of the inputs; variance: the number of points in the batch."""

    seconds_per_call = 0.0

    def __init__(self) -> None:
        names = ("lat", "long", "depth", "stations")
        box = np.array([[0.0, 10.0]] * 4)
        self.description = Description("sum", "000000000001", "none", names, "y", 0, box)
        self.gate = threading.Event()
        self.gate.set()

    @property
    def trained(self) -> bool:
        return True

    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        return self

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        if not self.gate.wait(PATIENCE_SECONDS):
            raise TimeoutError("the gate stayed closed")
        time.sleep(self.seconds_per_call)
        return np.column_stack([X.sum(axis=1), np.full(len(X), float(len(X)))])

    def save(self, path: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls()


class Cars(Sum):
    """Mean: 100 times the code of `gear`, plus 10 times that of `cyl`, plus `wt`."""

    weights = np.array([100.0, 1.0, 10.0])

    def __init__(self) -> None:
        super().__init__()
        names, categories = ("gear", "wt", "cyl"), {"gear": GEARS, "cyl": CYLINDERS}
        box = np.array([[0.0, 1.0], [1.0, 5.0], [0.0, 2.0]])
        self.description = Description(
            "cars", "000000000002", "none", names, "mpg", 0, box, categories=categories
        )

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        assert np.isin(X[:, ::2], (0, 1, 2)).all(), "not a code"
        return np.column_stack([X @ self.weights, np.ones(len(X))])

    def gradient(self, X: FloatArray) -> FloatArray:
        slopes = np.zeros((len(X), 2, 3))
        slopes[:, 0, 1] = 1
        return slopes


class Slow(Sum):
    """Takes 50 ms per call, like a large model on a small CPU."""

    seconds_per_call = 0.05


def _wait_at_the_gate() -> None:
    gate = Path(os.environ[GATE])
    until(lambda: not gate.exists())


class Gated(Sum):
    """Waits while the file named by the environment exists, so that a test can block it."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        _wait_at_the_gate()
        return super().predict(X, noise=noise)


class GatedGPR(GPR):
    """A Gaussian process that waits in the same way as `Gated`."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        _wait_at_the_gate()
        return super().predict(X, noise=noise)


class Costly(Gated):
    """Slow enough to be computed by a thread while the event loop answers other requests."""

    seconds_per_call = 0.5


class Broken(Sum):
    """Fails for points whose first input is 9."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        if (X[:, 0] == 9).any():
            raise FloatingPointError("nine is too much")
        return super().predict(X, noise=noise)
