"""Standardised training data: the units of the bounds and priors of hyperparameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.model import FloatArray

ROUNDING = 1e-13
"""A column that varies by less, as a share of its largest number, is constant up to rounding."""


class Standardised:
    """Columns E, shape (n, D), and outputs y, shape (n,), with mean 0 and deviation 1.

    Attributes
    ----------
    U, v : the standardised columns and outputs
    offset, scale : shape (D,); a constant column has scale 1
    varying : the columns that are not constant; the others have no effect
    row_noise : shape (n,), the known noise variances in units of v, or empty
    """

    def __init__(self, E: FloatArray, y: FloatArray, row_noise: FloatArray) -> None:
        constant = constant_columns(E)
        self.varying: NDArray[np.int64] = np.flatnonzero(~constant)
        self.offset = np.where(constant, E[0], E.mean(axis=0))
        self.scale = np.where(constant, 1.0, deviation(E))
        self.U = np.where(constant, 0.0, (E - self.offset) / self.scale)
        self.output_offset, self.output_scale = float(y.mean()), float(deviation(y))
        self.v = (y - self.output_offset) / self.output_scale
        self.row_noise = row_noise / self.output_scale**2


def deviation(E: FloatArray) -> FloatArray:
    """Return the standard deviation along the first axis; nothing overflows or underflows."""
    largest = np.abs(E).max(axis=0)
    largest = np.where(largest > 0, largest, 1.0)
    return np.asarray(np.std(E / largest, axis=0) * largest)


def constant_columns(E: FloatArray) -> NDArray[np.bool_]:
    """Return which columns of E, shape (n, D), are constant up to rounding."""
    constant: NDArray[np.bool_] = np.ptp(E, axis=0) <= ROUNDING * np.abs(E).max(axis=0)
    return constant


def without_rounding(X: FloatArray) -> FloatArray:
    """Return X with columns that are exactly constant where they are so up to rounding."""
    return np.where(constant_columns(X), X[0], X)
