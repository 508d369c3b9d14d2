"""The truth: the posterior of stated hyperparameters and data, in 400-bit interval arithmetic.

It is written from the formulas alone and shares no code with the service. Every float64 that goes
in is taken exactly, and arb keeps a bound of its own rounding: `rounded` refuses a number that is
not known to 1e-19 of itself. A posterior takes N³ steps in software arithmetic, so N is small:
60 take 0.1 s, 300 take 5 s.

R&W is Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat
from numpy.typing import ArrayLike

from service.model import FloatArray
from tests.gpr.exactkernels import Kernel, Row, exactly, rounded

STEP = arb(2) ** -100
"""Of the finite differences: their error is its square, and 200 bits are left."""


@dataclass(frozen=True)
class Mean:
    """c₀, or c₀ + Σ cᵢ xᵢ, in the model's units.

    `coefficients` None: they are estimated by generalised least squares, with a vague prior, and
    their uncertainty is part of the variance (universal kriging; R&W 2.41 and 2.42).
    """

    basis: str = "none"
    coefficients: tuple[float, ...] | None = None

    def functions(self, x: Row) -> Row:
        return {"none": [], "constant": [arb(1)], "linear": [arb(1), *x]}[self.basis]

    def known(self, x: Row) -> Any:
        if self.coefficients is None:
            return arb(0)
        terms = zip(self.functions(x), exactly(self.coefficients), strict=True)
        return sum((h * c for h, c in terms), arb(0))

    def estimated(self, x: Row) -> Row:
        return self.functions(x) if self.coefficients is None else []


@dataclass(frozen=True)
class Units:
    """The model's units are ``(x - input_offset) / input_scale`` and the same for the output."""

    input_offset: ArrayLike = 0.0
    input_scale: ArrayLike = 1.0
    output_offset: float = 0.0
    output_scale: float = 1.0

    def points(self, X: FloatArray) -> list[Row]:
        """Return rows of exact numbers, so that equal rows have a distance of exactly zero."""
        d = X.shape[1]
        offset = exactly(np.broadcast_to(self.input_offset, d))
        scale = exactly(np.broadcast_to(self.input_scale, d))
        columns = list(zip(offset, scale, strict=True))
        return [
            [((value - o) / s).mid() for value, (o, s) in zip(exactly(x), columns, strict=True)]
            for x in X
        ]

    def outputs(self, y: FloatArray) -> Row:
        return [(value - arb(self.output_offset)) / arb(self.output_scale) for value in exactly(y)]


RAW = Units()


class Posterior(ABC):
    """What is known of the latent function; arrays that go in and out are in raw units.

    With b(x) a row of covariances, the mean is b(x) times `weights`, and the covariance is
    k(x, z) - b(x) `reduction` b(z)ᵀ.
    """

    units: Units
    kernel: Kernel
    known: Mean
    weights: Any
    reduction: Any

    @abstractmethod
    def border(self, x: Row) -> Row:
        """Return b(x), in the model's units."""

    def mean(self, x: Row) -> Any:
        """Return the mean at a point, all in the model's units."""
        return self.known.known(x) + (arb_mat([self.border(x)]) * self.weights)[0, 0]

    def variance(self, x: Row) -> Any:
        """Return the variance at a point, all in the model's units; with White, as in GPy."""
        b = arb_mat([self.border(x)])
        return self.kernel.at(x, x, True) - (b * self.reduction * b.transpose())[0, 0]

    def answers(self, X: FloatArray) -> FloatArray:
        """Return mean and latent variance, shape (n, 2)."""
        offset, scale = arb(self.units.output_offset), arb(self.units.output_scale)
        return np.array(
            [
                [rounded(offset + scale * self.mean(x)), rounded(scale**2 * self.variance(x))]
                for x in self.units.points(X)
            ]
        )

    def joint(self, X: FloatArray) -> FloatArray:
        """Return the covariance of all points, shape (n, n)."""
        points, square = self.units.points(X), arb(self.units.output_scale) ** 2
        B = arb_mat([self.border(x) for x in points])
        known = B * self.reduction * B.transpose()
        out = np.empty((len(X), len(X)))
        for i, x in enumerate(points):
            for j, z in enumerate(points[: i + 1]):
                left = self.kernel.at(x, z, i == j) - known[i, j]
                out[i, j] = out[j, i] = rounded(square * left)
        return out

    def gradient(self, X: FloatArray) -> FloatArray:
        """Return the derivatives of mean and variance by raw inputs, shape (n, 2, d)."""
        return self._differences(X, 1)

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of mean and variance by raw inputs, shape (n, 2, d, d)."""
        return self._differences(X, 2)

    def _differences(self, X: FloatArray, order: int) -> FloatArray:
        d = X.shape[1]
        scale, inputs = (
            arb(self.units.output_scale),
            exactly(np.broadcast_to(self.units.input_scale, d)),
        )
        out = np.empty((len(X), 2, *[d] * order))
        for n, x in enumerate(self.units.points(X)):
            for k, (f, unit) in enumerate([(self.mean, scale), (self.variance, scale**2)]):
                for index in np.ndindex(*[d] * order):
                    value = unit * _difference(f, x, index)
                    for i in index:
                        value /= inputs[i]
                    out[n, k, *index] = rounded(value)
        return out


def _difference(f: Callable[[Row], Any], x: Row, index: tuple[int, ...]) -> Any:
    """Return the central difference of f by these inputs, one after the other."""
    if not index:
        return f(x)
    i, rest = index[0], index[1:]
    above = [value + STEP if j == i else value for j, value in enumerate(x)]
    below = [value - STEP if j == i else value for j, value in enumerate(x)]
    return (_difference(f, above, rest) - _difference(f, below, rest)) / (2 * STEP)


class Exact(Posterior):
    """An exact GP: R&W 2.23 and 2.24, by the bordered system of kriging.

    With H the functions of an estimated mean at the data, and h those at x,
    A = [[K + noise, H], [Hᵀ, 0]] and b = (k(x), h): the mean is bᵀA⁻¹(y, 0), the covariance
    k(x, z) - b(x)ᵀA⁻¹b(z) (Cressie, Statistics for Spatial Data, 1993, section 3.4).

    Parameters
    ----------
    X, y : shapes (N, d) and (N,), in raw units
    noise : its variance in the model's units, one number or one per row
    jitter : added to the diagonal; GPy adds 1e-8
    """

    def __init__(
        self,
        kernel: Kernel,
        X: FloatArray,
        y: FloatArray,
        noise: ArrayLike,
        *,
        jitter: float = 0.0,
        mean: Mean | None = None,
        units: Units = RAW,
    ) -> None:
        self.kernel, self.units, self.known = kernel, units, mean or Mean()
        self.jitter = arb(jitter)
        self.noise = exactly(np.broadcast_to(noise, len(X)))
        self.X, targets = units.points(X), units.outputs(y)
        self.y = [v - self.known.known(x) for x, v in zip(self.X, targets, strict=True)]
        self._condition()

    def _condition(self) -> None:
        """Invert the bordered matrix."""
        H = [self.known.estimated(x) for x in self.X]
        p = len(H[0])
        covariances = self._symmetric()
        rows = [[*row, *h] for row, h in zip(covariances, H, strict=True)]
        rows += [[*(h[i] for h in H), *[arb(0)] * p] for i in range(p)]
        self.reduction = arb_mat(rows).inv()
        self.weights = self.reduction * arb_mat([[value] for value in [*self.y, *[arb(0)] * p]])

    def _symmetric(self) -> list[Row]:
        rows: list[Row] = [[arb(0)] * len(self.X) for _ in self.X]
        for i, x in enumerate(self.X):
            for j, z in enumerate(self.X[: i + 1]):
                rows[i][j] = rows[j][i] = self.kernel.at(x, z, i == j)
            rows[i][i] += self.noise[i] + self.jitter
        return rows

    def border(self, x: Row) -> Row:
        return [*(self.kernel.at(x, z, False) for z in self.X), *self.known.estimated(x)]

    def leave_one_out(self) -> FloatArray:
        """Return mean and variance of each observation given all others, by N refits, (N, 2).

        The variance has the row's noise, but not the jitter.
        """
        out, scale = np.empty((len(self.X), 2)), arb(self.units.output_scale)
        for i, x in enumerate(self.X):
            rest = Exact.__new__(Exact)
            rest.kernel, rest.units, rest.known = self.kernel, self.units, self.known
            rest.jitter = self.jitter
            for name in ("X", "y", "noise"):
                setattr(rest, name, [v for j, v in enumerate(getattr(self, name)) if j != i])
            rest._condition()
            out[i, 0] = rounded(arb(self.units.output_offset) + scale * rest.mean(x))
            out[i, 1] = rounded(scale**2 * (rest.variance(x) + self.noise[i]))
        return out


class Sparse(Posterior):
    """The variational posterior of Titsias (2009), equation 6, as GPy's `VarDTC` states it.

    Parameters
    ----------
    Z : shape (M, d), inducing inputs, in raw units
    jitter : GPy adds it to the diagonal of K_ZZ and takes it as the least noise
    """

    def __init__(
        self,
        kernel: Kernel,
        Z: FloatArray,
        X: FloatArray,
        y: FloatArray,
        noise: float,
        *,
        jitter: float = 1e-8,
        units: Units = RAW,
    ) -> None:
        self.kernel, self.units, self.known = kernel, units, Mean()
        self.Z = units.points(Z)
        precision = 1 / max(arb(noise), arb(jitter))
        inducing = arb_mat(
            [
                [
                    kernel.at(z, other, i == j) + (arb(jitter) if i == j else 0)
                    for j, other in enumerate(self.Z)
                ]
                for i, z in enumerate(self.Z)
            ]
        )
        cross = arb_mat([[kernel.at(z, x, False) for x in units.points(X)] for z in self.Z])
        update = (inducing + precision * (cross * cross.transpose())).inv()
        targets = arb_mat([[value] for value in units.outputs(y)])
        self.weights = precision * (update * (cross * targets))
        self.reduction = inducing.inv() - update

    def border(self, x: Row) -> Row:
        return [self.kernel.at(x, z, False) for z in self.Z]
