"""The truth: the posterior of stated hyperparameters and data, in 400-bit interval arithmetic.

It is written from the formulas alone and shares no code with the service. Every float64 that goes
in is taken exactly, and arb keeps a bound of its own rounding: `rounded` refuses a number that is
not known to 1e-19 of itself. A posterior takes N³ steps in software arithmetic, so N is small:
60 take 0.1 s, 300 take 5 s.

R&W is Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.typing import ArrayLike

from service.model import FloatArray

ctx.prec = 400

STEP = arb(2) ** -100
"""Of the finite differences: their error is its square, and 200 bits are left."""

Row = list[Any]
"""One point, a number per input."""


def exactly(values: ArrayLike) -> Row:
    """Return float64 numbers as exact ones."""
    return [arb(float(value)) for value in np.atleast_1d(np.asarray(values, dtype=np.float64))]


def rounded(value: Any) -> float:
    """Return the nearest float64. Raises `ArithmeticError`: 400 bits were not enough."""
    if not value.is_finite() or (value.rel_accuracy_bits() < 64 and value.rad() > 1e-40):
        raise ArithmeticError(f"400 bits do not settle {value}")
    return float(value.mid())


class Kernel(ABC):
    """A covariance function; ``+`` and ``*`` make sums and products."""

    @abstractmethod
    def at(self, x: Row, z: Row, same: bool) -> Any:
        """Return k(x, z); `same` when both are the same observation, not merely equal points."""

    def __add__(self, other: Kernel) -> Kernel:
        return _Combined(self, other, lambda a, b: a + b)

    def __mul__(self, other: Kernel) -> Kernel:
        return _Combined(self, other, lambda a, b: a * b)


@dataclass(frozen=True)
class _Combined(Kernel):
    left: Kernel
    right: Kernel
    combine: Callable[[Any, Any], Any]

    def at(self, x: Row, z: Row, same: bool) -> Any:
        return self.combine(self.left.at(x, z, same), self.right.at(x, z, same))


class Inputs(Kernel):
    """A kernel of some of the inputs, with a parameter that is one number or one per input."""

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = list(dims)

    def per_input(self, values: ArrayLike) -> Row:
        row = exactly(values)
        return row * len(self.dims) if len(row) == 1 else row


class Stationary(Inputs):
    """variance * g(r), with r the distance after division by the lengthscales."""

    def __init__(self, variance: float, lengthscale: ArrayLike, dims: Sequence[int]) -> None:
        super().__init__(dims)
        self.variance, self.lengthscale = arb(variance), self.per_input(lengthscale)

    def at(self, x: Row, z: Row, same: bool) -> Any:
        scaled = zip(self.dims, self.lengthscale, strict=True)
        squares = sum((((x[i] - z[i]) / scale) ** 2 for i, scale in scaled), arb(0))
        return self.variance * self.g(squares)

    @abstractmethod
    def g(self, squares: Any) -> Any:
        """Return the correlation at this squared distance."""


class RBF(Stationary):
    """R&W 4.9."""

    def g(self, squares: Any) -> Any:
        return (-squares / 2).exp()


class Exponential(Stationary):
    """R&W 4.18: Matérn 1/2."""

    def g(self, squares: Any) -> Any:
        return (-squares.sqrt()).exp()


class Matern32(Stationary):
    """R&W 4.17."""

    def g(self, squares: Any) -> Any:
        r = (3 * squares).sqrt()
        return (1 + r) * (-r).exp()


class Matern52(Stationary):
    """R&W 4.17."""

    def g(self, squares: Any) -> Any:
        r = (5 * squares).sqrt()
        return (1 + r + r**2 / 3) * (-r).exp()


class RatQuad(Stationary):
    """(1 + r²/2)^-power, as in GPy; R&W 4.19 with a lengthscale of l √power."""

    def __init__(
        self, variance: float, lengthscale: ArrayLike, dims: Sequence[int], power: float
    ) -> None:
        super().__init__(variance, lengthscale, dims)
        self.power = arb(power)

    def g(self, squares: Any) -> Any:
        return (-self.power * (1 + squares / 2).log()).exp()


class Linear(Inputs):
    """Σ variances_i x_i z_i; R&W 4.22 without its constant."""

    def __init__(self, variances: ArrayLike, dims: Sequence[int]) -> None:
        super().__init__(dims)
        self.variances = self.per_input(variances)

    def at(self, x: Row, z: Row, same: bool) -> Any:
        return sum(
            (v * x[i] * z[i] for i, v in zip(self.dims, self.variances, strict=True)), arb(0)
        )


class StdPeriodic(Inputs):
    """variance * exp(-½ Σ (sin(π (x - z) / period) / lengthscale)²); R&W 4.31 for one input."""

    def __init__(
        self, variance: float, period: ArrayLike, lengthscale: ArrayLike, dims: Sequence[int]
    ) -> None:
        super().__init__(dims)
        self.variance = arb(variance)
        self.period, self.lengthscale = self.per_input(period), self.per_input(lengthscale)

    def at(self, x: Row, z: Row, same: bool) -> Any:
        scales = zip(self.dims, self.period, self.lengthscale, strict=True)
        waves = (((x[i] - z[i]) / period).sin_pi() / scale for i, period, scale in scales)
        return self.variance * (-sum((wave**2 for wave in waves), arb(0)) / 2).exp()


@dataclass(frozen=True)
class Bias(Kernel):
    variance: float

    def at(self, x: Row, z: Row, same: bool) -> Any:
        return arb(self.variance)


@dataclass(frozen=True)
class White(Kernel):
    variance: float

    def at(self, x: Row, z: Row, same: bool) -> Any:
        return arb(self.variance if same else 0)


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
        d = X.shape[1]
        offset = exactly(np.broadcast_to(self.input_offset, d))
        scale = exactly(np.broadcast_to(self.input_scale, d))
        columns = list(zip(offset, scale, strict=True))
        return [
            [(value - o) / s for value, (o, s) in zip(exactly(x), columns, strict=True)] for x in X
        ]

    def outputs(self, y: FloatArray) -> Row:
        return [(value - arb(self.output_offset)) / arb(self.output_scale) for value in exactly(y)]


RAW = Units()


class Posterior(ABC):
    """What is known of the latent function; arrays that go in and out are in raw units."""

    units: Units

    @abstractmethod
    def mean(self, x: Row) -> Any:
        """Return the mean at a point, all in the model's units."""

    @abstractmethod
    def covariance(self, x: Row, z: Row, same: bool) -> Any:
        """Return the covariance of two points, all in the model's units."""

    def variance(self, x: Row) -> Any:
        return self.covariance(x, x, True)

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
        out = np.empty((len(X), len(X)))
        for i, x in enumerate(points):
            for j, z in enumerate(points[: i + 1]):
                out[i, j] = out[j, i] = rounded(square * self.covariance(x, z, i == j))
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
        self.raw = X, y
        self.nugget = [v + arb(jitter) for v in exactly(np.broadcast_to(noise, len(X)))]
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
        self.inverse = arb_mat(rows).inv()
        self.weights = self.inverse * arb_mat([[value] for value in [*self.y, *[arb(0)] * p]])

    def _symmetric(self) -> list[Row]:
        rows: list[Row] = [[arb(0)] * len(self.X) for _ in self.X]
        for i, x in enumerate(self.X):
            for j, z in enumerate(self.X[: i + 1]):
                rows[i][j] = rows[j][i] = self.kernel.at(x, z, i == j)
            rows[i][i] += self.nugget[i]
        return rows

    def _border(self, x: Row) -> Any:
        return arb_mat([[*(self.kernel.at(x, z, False) for z in self.X), *self.known.estimated(x)]])

    def mean(self, x: Row) -> Any:
        return self.known.known(x) + (self._border(x) * self.weights)[0, 0]

    def covariance(self, x: Row, z: Row, same: bool) -> Any:
        b = self._border(x)
        c = b if x is z else self._border(z)
        return self.kernel.at(x, z, same) - (b * self.inverse * c.transpose())[0, 0]

    def leave_one_out(self) -> FloatArray:
        """Return mean and variance of each observation given all others, by N refits, (N, 2).

        The variance has the row's noise and jitter, as in R&W 5.12.
        """
        out, scale = np.empty((len(self.X), 2)), arb(self.units.output_scale)
        for i, x in enumerate(self.X):
            rest = Exact.__new__(Exact)
            rest.kernel, rest.units, rest.known = self.kernel, self.units, self.known
            for name in ("X", "y", "nugget"):
                setattr(rest, name, [v for j, v in enumerate(getattr(self, name)) if j != i])
            rest._condition()
            out[i, 0] = rounded(arb(self.units.output_offset) + scale * rest.mean(x))
            out[i, 1] = rounded(scale**2 * (rest.variance(x) + self.nugget[i]))
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
        self.kernel, self.units = kernel, units
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

    def _covariances(self, x: Row) -> Any:
        return arb_mat([[self.kernel.at(x, z, False) for z in self.Z]])

    def mean(self, x: Row) -> Any:
        return (self._covariances(x) * self.weights)[0, 0]

    def covariance(self, x: Row, z: Row, same: bool) -> Any:
        b = self._covariances(x)
        c = b if x is z else self._covariances(z)
        return self.kernel.at(x, z, same) - (b * self.reduction * c.transpose())[0, 0]
