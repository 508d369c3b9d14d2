"""Covariance functions in 400-bit interval arithmetic, from the book's formulas.

R&W is Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006. Parameters are GPy's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import ArrayLike

ctx.prec = 400

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


class ExpSineSquared(Stationary):
    """exp(-2 sin²(πr)/smoothness²), scikit-learn's; the lengthscale is the period."""

    def __init__(
        self, variance: float, period: ArrayLike, dims: Sequence[int], smoothness: float
    ) -> None:
        super().__init__(variance, period, dims)
        self.smoothness = arb(smoothness)

    def g(self, squares: Any) -> Any:
        wave = squares.sqrt().sin_pi() / self.smoothness
        return (-2 * wave * wave).exp()


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
