"""Covariances of the distance: RBF, Matérn, rational quadratic, and their derivatives.

Rasmussen & Williams, section 4.2.1. Names and parameters are GPy's.
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

OfDistance = Callable[[FloatArray, float], FloatArray]
"""A function of r, the scaled distance, and of the form's shape parameter."""


class Form(NamedTuple):
    """A stationary covariance as a function of r, the scaled distance, with derivatives by r².

    Where a derivative grows beyond all bounds at r = 0, its value there is 0. It is only multiplied
    by a product of two distances, which vanishes as r².
    """

    g: OfDistance
    dg: OfDistance
    d2g: OfDistance
    shape: str = ""
    """The name of the shape parameter; empty when the form has none."""


def _inverse(r: FloatArray) -> FloatArray:
    """Return 1/r, and 0 for r = 0."""
    inverse: FloatArray = (r > 0) / np.where(r > 0, r, 1)
    return inverse


def _radial_sine(r: FloatArray, lengthscale: float) -> FloatArray:
    """Return ``exp(-2 sin²(πr)/l²)``, scikit-learn's ExpSineSquared; r is divided by the period."""
    wave: FloatArray = np.exp(-2 * (np.sin(np.pi * r) / lengthscale) ** 2)
    return wave


def _radial_sine_dg(r: FloatArray, lengthscale: float) -> FloatArray:
    # d sin²(πr) / d(r²) = π² sinc(2r), with sinc(x) = sin(πx)/(πx)
    return -2 * np.pi**2 / lengthscale**2 * np.sinc(2 * r) * _radial_sine(r, lengthscale)


def _radial_sine_d2g(r: FloatArray, lengthscale: float) -> FloatArray:
    # d sinc(2r) / d(r²) = (2πr cos 2πr - sin 2πr) / (4πr³), which tends to -2π²/3 at r = 0
    u = 2 * np.pi * r
    far = u > 1e-2
    v = np.where(far, u, 1.0)
    series = -1 / 3 + u**2 / 30 - u**4 / 840
    slope = 2 * np.pi**2 * np.where(far, (v * np.cos(v) - np.sin(v)) / v**3, series)
    factor = 2 * np.pi**2 / lengthscale**2
    wave = _radial_sine(r, lengthscale)
    return (factor**2 * np.sinc(2 * r) ** 2 - factor * slope) * wave


FORMS = {
    # equation 4.9
    "RBF": Form(
        lambda r, _: np.exp(-0.5 * r**2),
        lambda r, _: -0.5 * np.exp(-0.5 * r**2),
        lambda r, _: 0.25 * np.exp(-0.5 * r**2),
    ),
    # equation 4.18, the Ornstein-Uhlenbeck process: Matérn 1/2
    "Exponential": Form(
        lambda r, _: np.exp(-r),
        lambda r, _: -0.5 * np.exp(-r) * _inverse(r),
        lambda r, _: 0.25 * np.exp(-r) * (1 + r) * _inverse(r) ** 3,
    ),
    # equation 4.17
    "Matern32": Form(
        lambda r, _: (1 + SQRT3 * r) * np.exp(-SQRT3 * r),
        lambda r, _: -1.5 * np.exp(-SQRT3 * r),
        lambda r, _: 0.75 * SQRT3 * np.exp(-SQRT3 * r) * _inverse(r),
    ),
    "Matern52": Form(
        lambda r, _: (1 + SQRT5 * r + 5 / 3 * r**2) * np.exp(-SQRT5 * r),
        lambda r, _: -5 / 6 * (1 + SQRT5 * r) * np.exp(-SQRT5 * r),
        lambda r, _: 25 / 12 * np.exp(-SQRT5 * r),
    ),
    # equation 4.19, with GPy's lengthscale, which is √α times that of the book
    "RatQuad": Form(
        lambda r, power: np.exp(-power * np.log1p(0.5 * r**2)),
        lambda r, power: -0.5 * power * np.exp(-(power + 1) * np.log1p(0.5 * r**2)),
        lambda r, power: 0.25 * power * (power + 1) * np.exp(-(power + 2) * np.log1p(0.5 * r**2)),
        "power",
    ),
    "ExpSineSquared": Form(_radial_sine, _radial_sine_dg, _radial_sine_d2g, "smoothness"),
}


class ConstantVariance:
    """A covariance function with the same variance at every x."""

    variance: float

    def diagonal(self, X: FloatArray) -> FloatArray:
        """Return ``k(x, x)`` of each row, shape (n,)."""
        return np.full(len(X), self.variance)

    def ddiagonal(self, X: FloatArray) -> FloatArray:
        """Return the first derivatives of `diagonal`, shape (n, d)."""
        return np.zeros(X.shape)

    def d2diagonal(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of `diagonal`, shape (n, d, d)."""
        return np.zeros((*X.shape, X.shape[1]))


@dataclass(frozen=True, eq=False)
class Stationary(ConstantVariance):
    """``variance * g(r)`` with r the distance after division by the lengthscales.

    Attributes
    ----------
    name : a key of `FORMS`
    lengthscale : shape (len(active_dims),), or (1,) when all inputs share it (not `ard`)
    active_dims : the columns of X that the kernel uses
    shape : the form's shape parameter, as RatQuad's power; 0 when it has none
    """

    name: str
    variance: float
    lengthscale: FloatArray
    active_dims: NDArray[np.int64]
    shape: float = 0.0

    @property
    def form(self) -> Form:
        """The covariance as a function of the scaled distance."""
        return FORMS[self.name]

    def hyperparameters(self) -> dict[str, float | list[float]]:
        """Return the numbers by their names in GPy, ready for JSON."""
        found = {"variance": self.variance, "lengthscale": self.lengthscale.tolist()}
        return found | ({self.form.shape: self.shape} if self.form.shape else {})

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between the rows of X and Z, shape (n, m)."""
        return self.variance * self.form.g(self._distance(X, Z), self.shape)

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        r, w = self._scaled(X, Z)
        slope = 2 * self.variance * self.form.dg(r, self.shape)
        D = np.zeros((*slope.shape, X.shape[1]))
        D[:, :, self.active_dims] = slope[:, :, None] * w
        return D

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        r, w = self._scaled(X, Z)
        form, shape = self.form, self.shape
        inner = 4 * form.d2g(r, shape)[:, :, None, None] * w[:, :, :, None] * w[:, :, None, :]
        scale = np.broadcast_to(self.lengthscale, self.active_dims.shape)
        inner += 2 * form.dg(r, shape)[:, :, None, None] * np.diag(1 / scale**2)
        D = np.zeros((*r.shape, X.shape[1], X.shape[1]))
        D[:, :, self.active_dims[:, None], self.active_dims] = self.variance * inner
        return D

    def _distance(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return r from differences: a distance loses nothing, however far both are from zero."""
        squares = np.zeros((len(X), len(Z)))
        scale = np.broadcast_to(self.lengthscale, self.active_dims.shape)
        difference = np.empty_like(squares)
        for i, lengthscale in zip(self.active_dims, scale, strict=True):
            np.subtract(X[:, i, None], Z[:, i], out=difference)
            difference /= lengthscale
            difference *= difference
            squares += difference
        return np.sqrt(squares, out=squares)

    def _scaled(self, X: FloatArray, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return r, shape (n, m), and the differences over squared lengthscales, (n, m, a)."""
        x, z = X[:, self.active_dims], Z[:, self.active_dims]
        u = (x[:, None, :] - z[None, :, :]) / self.lengthscale
        return np.sqrt(np.vecdot(u, u)), u / self.lengthscale
