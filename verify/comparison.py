"""How far the answers of a model are from others, as shares of what they are measured by."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from service.model import FloatArray

LEFT = 1e-3
"""A variance is a difference from the prior's: below this share of it, it is compared with it."""


class Predictor(Protocol):
    """What is checked: a `GPR`, or in the tests of the checks something that is wrong."""

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return mean and variance, shape (n, 2)."""


class Errors(NamedTuple):
    """The largest of all points."""

    mean: float
    """Divided by the larger of the mean and the prior's deviation."""
    variance: float
    """Divided by the variance, or a thousandth of the prior's where that is larger."""


def errors(found: FloatArray, wanted: FloatArray, prior: float) -> Errors:
    """Compare answers, shape (n, 2), with wanted ones; `prior` is the prior's variance."""
    off = np.abs(found - wanted)
    mean = off[:, 0] / np.maximum(np.abs(wanted[:, 0]), np.sqrt(prior))
    variance = off[:, 1] / np.maximum(wanted[:, 1], LEFT * prior)
    return Errors(_largest(mean), _largest(variance))


def relative(found: FloatArray, wanted: FloatArray, least: float = 0.0) -> float:
    """Return the largest difference, divided by the largest wanted number, or by `least`."""
    return _largest(np.abs(found - wanted)) / max(float(np.abs(wanted).max()), least)


def _largest(values: FloatArray) -> float:
    """Return the largest; infinity when one is no number."""
    return float(np.nan_to_num(values, nan=np.inf).max())
