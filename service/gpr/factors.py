"""Covariance functions that are no sums, beside the stationary ones: linear, periodic, products.

Names and parameters are GPy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gpr.stationary import ConstantVariance, Stationary
from service.model import FloatArray


@dataclass(frozen=True, eq=False)
class Linear:
    """``Σ variancesᵢ xᵢ zᵢ``: a linear function with random slopes.

    Attributes
    ----------
    variances : shape (len(active_dims),), or (1,) when all inputs share it
    """

    variances: FloatArray
    active_dims: NDArray[np.int64]
    name: str = "Linear"

    def hyperparameters(self) -> dict[str, float | list[float]]:
        """Return the numbers by their names in GPy, ready for JSON."""
        return {"variances": self.variances.tolist()}

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance, shape (n, m), summed column by column: row by row the same."""
        K = np.zeros((len(X), len(Z)))
        for i, variance in self._columns():
            K += (variance * X[:, i, None]) * Z[:, i]
        return K

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        D = np.zeros((len(X), *Z.shape))
        for i, variance in self._columns():
            D[:, :, i] = variance * Z[:, i]
        return D

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return zeros, shape (n, m, d, d)."""
        return np.zeros((len(X), *Z.shape, X.shape[1]))

    def diagonal(self, X: FloatArray) -> FloatArray:
        """Return ``Σ variancesᵢ xᵢ²``, shape (n,)."""
        total = np.zeros(len(X))
        for i, variance in self._columns():
            total += variance * X[:, i] ** 2
        return total

    def ddiagonal(self, X: FloatArray) -> FloatArray:
        """Return the first derivatives of `diagonal`, shape (n, d)."""
        D = np.zeros(X.shape)
        for i, variance in self._columns():
            D[:, i] = 2 * variance * X[:, i]
        return D

    def d2diagonal(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of `diagonal`, shape (n, d, d)."""
        D = np.zeros((*X.shape, X.shape[1]))
        for i, variance in self._columns():
            D[:, i, i] = 2 * variance
        return D

    def _columns(self) -> Iterator[tuple[int, float]]:
        variances = np.broadcast_to(self.variances, self.active_dims.shape)
        return zip(self.active_dims.tolist(), variances.tolist(), strict=True)


@dataclass(frozen=True, eq=False)
class StdPeriodic(ConstantVariance):
    """``variance exp(-½ Σ (sin(π(xᵢ - zᵢ)/periodᵢ)/lengthscaleᵢ)²)``; MacKay 1998, equation 47.

    Attributes
    ----------
    period, lengthscale : shape (len(active_dims),), or (1,) when all inputs share it
    """

    variance: float
    period: FloatArray
    lengthscale: FloatArray
    active_dims: NDArray[np.int64]
    name: str = "StdPeriodic"

    def hyperparameters(self) -> dict[str, float | list[float]]:
        """Return the numbers by their names in GPy, ready for JSON."""
        return {
            "variance": self.variance,
            "period": self.period.tolist(),
            "lengthscale": self.lengthscale.tolist(),
        }

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between the rows of X and Z, shape (n, m)."""
        exponent = np.zeros((len(X), len(Z)))
        for i, period, lengthscale in self._columns():
            wave = np.sin(np.pi * ((X[:, i, None] - Z[:, i]) / period))
            exponent += np.square(wave / lengthscale)
        return self.variance * np.exp(-0.5 * exponent)

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        return self.K(X, Z)[:, :, None] * self._slopes(X, Z)

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        slopes = self._slopes(X, Z)
        D = slopes[:, :, :, None] * slopes[:, :, None, :]
        for i, period, lengthscale in self._columns():
            phase = 2 * np.pi * ((X[:, i, None] - Z[:, i]) / period)
            D[:, :, i, i] -= (np.pi / period / lengthscale) ** 2 * np.cos(phase)
        D *= self.K(X, Z)[:, :, None, None]
        return D

    def _slopes(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the derivatives of the exponent, shape (n, m, d)."""
        D = np.zeros((len(X), *Z.shape))
        for i, period, lengthscale in self._columns():
            phase = 2 * np.pi * ((X[:, i, None] - Z[:, i]) / period)
            D[:, :, i] = -np.pi / (2 * period * lengthscale**2) * np.sin(phase)
        return D

    def _columns(self) -> Iterator[tuple[int, float, float]]:
        shape = self.active_dims.shape
        period, lengthscale = (np.broadcast_to(a, shape) for a in (self.period, self.lengthscale))
        return zip(self.active_dims.tolist(), period.tolist(), lengthscale.tolist(), strict=True)


@dataclass(frozen=True)
class Bias(ConstantVariance):
    """A constant covariance between all points: an unknown offset of the function."""

    variance: float
    name: str = "Bias"

    def hyperparameters(self) -> dict[str, float | list[float]]:
        """Return the numbers by their names in GPy, ready for JSON."""
        return {"variance": self.variance}

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the same variance everywhere, shape (n, m)."""
        return np.full((len(X), len(Z)), self.variance)

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return zeros, shape (n, m, d)."""
        return np.zeros((len(X), *Z.shape))

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return zeros, shape (n, m, d, d)."""
        return np.zeros((len(X), *Z.shape, X.shape[1]))


@dataclass(frozen=True)
class White:
    """Independent noise inside the kernel: on the diagonal only, never between two arrays."""

    variance: float
    name: str = "White"

    def hyperparameters(self) -> dict[str, float | list[float]]:
        """Return the numbers by their names in GPy, ready for JSON."""
        return {"variance": self.variance}


@dataclass(frozen=True, eq=False)
class Product:
    """The product of at least two factors."""

    factors: tuple[Stationary | Linear | StdPeriodic | Bias, ...]

    @property
    def name(self) -> str:
        """The factors' names, as in ``RBF * Linear``."""
        return " * ".join(factor.name for factor in self.factors)

    @property
    def _first(self) -> Function:
        return self.factors[0]

    @property
    def _rest(self) -> Function:
        return Product(self.factors[1:]) if len(self.factors) > 2 else self.factors[1]

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between the rows of X and Z, shape (n, m)."""
        K = self._first.K(X, Z)
        K *= self._rest.K(X, Z)
        return K

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        a, b = self._first, self._rest
        return a.dK(X, Z) * b.K(X, Z)[:, :, None] + a.K(X, Z)[:, :, None] * b.dK(X, Z)

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        a, b = self._first, self._rest
        K = a.K(X, Z)[:, :, None, None], b.K(X, Z)[:, :, None, None]
        mixed = a.dK(X, Z)[:, :, :, None] * b.dK(X, Z)[:, :, None, :]
        return a.d2K(X, Z) * K[1] + mixed + np.swapaxes(mixed, 2, 3) + K[0] * b.d2K(X, Z)

    def diagonal(self, X: FloatArray) -> FloatArray:
        """Return ``k(x, x)`` of each row, shape (n,)."""
        return self._first.diagonal(X) * self._rest.diagonal(X)

    def ddiagonal(self, X: FloatArray) -> FloatArray:
        """Return the first derivatives of `diagonal`, shape (n, d)."""
        a, b = self._first, self._rest
        values = a.diagonal(X)[:, None], b.diagonal(X)[:, None]
        return a.ddiagonal(X) * values[1] + values[0] * b.ddiagonal(X)

    def d2diagonal(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of `diagonal`, shape (n, d, d)."""
        a, b = self._first, self._rest
        values = a.diagonal(X)[:, None, None], b.diagonal(X)[:, None, None]
        mixed = a.ddiagonal(X)[:, :, None] * b.ddiagonal(X)[:, None, :]
        both = mixed + np.swapaxes(mixed, 1, 2)
        return a.d2diagonal(X) * values[1] + both + values[0] * b.d2diagonal(X)


Single = Stationary | Linear | StdPeriodic | Bias
Function = Single | Product
"""A covariance of the latent function."""

Term = Function | White


def factors_of(term: Function) -> tuple[Single, ...]:
    """Return the factors of a product; any other term is its own."""
    return term.factors if isinstance(term, Product) else (term,)


def product_of(a: Term, b: Term) -> Term:
    """Return the product of two terms; of White and another it is White.

    Raises `ValueError`: White is multiplied by a function whose variance depends on x.
    """
    if isinstance(a, White) or isinstance(b, White):
        return White(_constant(a) * _constant(b))
    return Product((*factors_of(a), *factors_of(b)))


def _constant(term: Term) -> float:
    """Return the variance of a term at every x."""
    if isinstance(term, White):
        return term.variance
    variance = 1.0
    for factor in factors_of(term):
        if isinstance(factor, Linear):
            raise ValueError("White * Linear is noise that grows with x, which is not supported")
        variance *= factor.variance
    return variance
