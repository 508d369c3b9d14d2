"""Covariance functions as plain data, with their values and derivatives.

Names and parameters are GPy's, so that a trained GPy kernel is copied term by term.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.model import FloatArray

SQRT3, SQRT5 = math.sqrt(3), math.sqrt(5)


class Form(NamedTuple):
    """A stationary covariance as a function of r, the scaled distance, with derivatives by r².

    Rasmussen & Williams, equations 4.9 (RBF) and 4.17 (Matérn 3/2 and 5/2).
    """

    g: Callable[[FloatArray], FloatArray]
    dg: Callable[[FloatArray], FloatArray]
    d2g: Callable[[FloatArray], FloatArray]
    degrees_of_freedom: int | None
    """Those of the spectral density, a Student t; None where it is Gaussian."""


def _matern32_d2g(r: FloatArray) -> FloatArray:
    # It grows as 1/r, but is only multiplied by a product of two distances, which vanishes as r².
    inverse: FloatArray = 1 / np.where(r > 0, r, 1)
    return 0.75 * SQRT3 * np.exp(-SQRT3 * r) * inverse


FORMS = {
    "RBF": Form(
        lambda r: np.exp(-0.5 * r**2),
        lambda r: -0.5 * np.exp(-0.5 * r**2),
        lambda r: 0.25 * np.exp(-0.5 * r**2),
        None,
    ),
    "Matern32": Form(
        lambda r: (1 + SQRT3 * r) * np.exp(-SQRT3 * r),
        lambda r: -1.5 * np.exp(-SQRT3 * r),
        _matern32_d2g,
        3,
    ),
    "Matern52": Form(
        lambda r: (1 + SQRT5 * r + 5 / 3 * r**2) * np.exp(-SQRT5 * r),
        lambda r: -5 / 6 * (1 + SQRT5 * r) * np.exp(-SQRT5 * r),
        lambda r: 25 / 12 * np.exp(-SQRT5 * r),
        5,
    ),
}


TERMS = (*FORMS, "Bias", "White")
"""The names of the supported covariance functions."""

SUPPORTED = f"sums of {', '.join(TERMS)}"


@dataclass(frozen=True)
class Stationary:
    """``variance * g(r)`` with r the distance after division by the lengthscales.

    Attributes
    ----------
    name : a key of `FORMS`
    lengthscale : shape (len(active_dims),), or (1,) when all inputs share it (not `ard`)
    active_dims : the columns of X that the kernel uses
    """

    name: str
    variance: float
    lengthscale: FloatArray
    active_dims: NDArray[np.int64]

    @property
    def form(self) -> Form:
        """The covariance as a function of the scaled distance."""
        return FORMS[self.name]

    def scaled_differences(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the differences divided by the lengthscales, shape (n, m, len(active_dims))."""
        x, z = X[:, self.active_dims], Z[:, self.active_dims]
        return (x[:, None, :] - z[None, :, :]) / self.lengthscale

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between the rows of X and Z, shape (n, m)."""
        squares = np.zeros((len(X), len(Z)))
        scale = np.broadcast_to(self.lengthscale, self.active_dims.shape)
        for i, lengthscale in zip(self.active_dims, scale, strict=True):
            squares += np.square((X[:, i, None] - Z[:, i]) / lengthscale)
        return self.variance * self.form.g(np.sqrt(squares))

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        u = self.scaled_differences(X, Z)
        slope = 2 * self.variance * self.form.dg(np.sqrt(np.vecdot(u, u)))
        D = np.zeros((*slope.shape, X.shape[1]))
        D[:, :, self.active_dims] = slope[:, :, None] * u / self.lengthscale
        return D

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        u = self.scaled_differences(X, Z)
        r = np.sqrt(np.vecdot(u, u))
        w = u / self.lengthscale
        inner = 4 * self.form.d2g(r)[:, :, None, None] * w[:, :, :, None] * w[:, :, None, :]
        scale = np.broadcast_to(self.lengthscale, self.active_dims.shape)
        inner += 2 * self.form.dg(r)[:, :, None, None] * np.diag(1 / scale**2)
        D = np.zeros((*r.shape, X.shape[1], X.shape[1]))
        D[:, :, self.active_dims[:, None], self.active_dims] = self.variance * inner
        return D


@dataclass(frozen=True)
class Bias:
    """A constant covariance between all points: an unknown offset of the function."""

    variance: float
    name: str = "Bias"


@dataclass(frozen=True)
class White:
    """Independent noise inside the kernel: on the diagonal only, never between two arrays."""

    variance: float
    name: str = "White"


Term = Stationary | Bias | White


@dataclass(frozen=True)
class Kernel:
    """A sum of at least one term."""

    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        """The terms' names, as in ``RBF + White``."""
        return " + ".join(term.name for term in self.terms)

    @property
    def stationary(self) -> tuple[Stationary, ...]:
        """The terms that depend on x."""
        return tuple(term for term in self.terms if isinstance(term, Stationary))

    @property
    def bias(self) -> float:
        """Sum of the Bias variances."""
        return float(sum(term.variance for term in self.terms if isinstance(term, Bias)))

    @property
    def white(self) -> float:
        """Sum of the White variances."""
        return float(sum(term.variance for term in self.terms if isinstance(term, White)))

    @property
    def diagonal(self) -> float:
        """``k(x, x)``, the same for every x; it includes White, as in GPy's ``Kdiag``."""
        return float(sum(term.variance for term in self.terms))

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between two arrays, shape (n, m); without White, as in GPy."""
        K = np.full((len(X), len(Z)), self.bias)
        for term in self.stationary:
            K += term.K(X, Z)
        return K

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        D = np.zeros((len(X), len(Z), X.shape[1]))
        for term in self.stationary:
            D += term.dK(X, Z)
        return D

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        D = np.zeros((len(X), len(Z), X.shape[1], X.shape[1]))
        for term in self.stationary:
            D += term.d2K(X, Z)
        return D
