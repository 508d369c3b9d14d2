"""Kernels: sums of covariance functions, with their values and derivatives.

They are built, added and multiplied as in GPy:
``RBF(2, lengthscale=[0.3, 1]) * Linear(2) + White(2, 0.1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.gpr import factors
from service.gpr.factors import Function, Term, product_of
from service.gpr.stationary import Stationary
from service.model import FloatArray

TERMS = (
    "RBF",
    "Exponential",
    "Matern32",
    "Matern52",
    "RatQuad",
    "Linear",
    "StdPeriodic",
    "Bias",
    "White",
)
"""The names of the covariance functions that can be trained."""

SUPPORTED = f"sums and products of {', '.join(TERMS)}"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A sum of at least one term."""

    terms: tuple[Term, ...]

    def __add__(self, other: Kernel) -> Kernel:
        return Kernel((*self.terms, *other.terms))

    def __mul__(self, other: Kernel) -> Kernel:
        """Multiply two sums, term by term.

        Raises `ValueError`: White is multiplied by a function whose variance depends on x.
        """
        return Kernel(tuple(product_of(a, b) for a, b in product(self.terms, other.terms)))

    @property
    def name(self) -> str:
        """The terms' names, as in ``RBF * Linear + White``."""
        return " + ".join(term.name for term in self.terms)

    @property
    def functions(self) -> tuple[Function, ...]:
        """The terms but White: those of the latent function."""
        return tuple(term for term in self.terms if not isinstance(term, factors.White))

    @property
    def white(self) -> float:
        """Sum of the White variances."""
        return float(sum(term.variance for term in self.terms if isinstance(term, factors.White)))

    def diagonal(self, X: FloatArray) -> FloatArray:
        """Return ``k(x, x)`` of each row, shape (n,); with White, as in GPy's ``Kdiag``."""
        total = np.full(len(X), self.white)
        for term in self.functions:
            total += term.diagonal(X)
        return total

    def K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the covariance between two arrays, shape (n, m); without White, as in GPy."""
        K = np.zeros((len(X), len(Z)))
        for term in self.functions:
            K += term.K(X, Z)
        return K

    def dK(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the first derivatives of `K` by X, shape (n, m, d)."""
        D = np.zeros((len(X), *Z.shape))
        for term in self.functions:
            D += term.dK(X, Z)
        return D

    def d2K(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the second derivatives of `K` by X, shape (n, m, d, d)."""
        D = np.zeros((len(X), *Z.shape, X.shape[1]))
        for term in self.functions:
            D += term.d2K(X, Z)
        return D

    def ddiagonal(self, X: FloatArray) -> FloatArray:
        """Return the first derivatives of `diagonal`, shape (n, d)."""
        D = np.zeros(X.shape)
        for term in self.functions:
            D += term.ddiagonal(X)
        return D

    def d2diagonal(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of `diagonal`, shape (n, d, d)."""
        D = np.zeros((*X.shape, X.shape[1]))
        for term in self.functions:
            D += term.d2diagonal(X)
        return D


def RBF(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: ArrayLike = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return the squared exponential kernel; Rasmussen & Williams, equation 4.9."""
    return _stationary("RBF", input_dim, variance, lengthscale, active_dims)


def Exponential(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: ArrayLike = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return the exponential kernel, Matérn 1/2; Rasmussen & Williams, equation 4.18."""
    return _stationary("Exponential", input_dim, variance, lengthscale, active_dims)


def Matern32(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: ArrayLike = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return the Matérn 3/2 kernel; Rasmussen & Williams, equation 4.17."""
    return _stationary("Matern32", input_dim, variance, lengthscale, active_dims)


def Matern52(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: ArrayLike = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return the Matérn 5/2 kernel; Rasmussen & Williams, equation 4.17."""
    return _stationary("Matern52", input_dim, variance, lengthscale, active_dims)


def RatQuad(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: ArrayLike = 1.0,
    power: float = 2.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return ``variance (1 + r²/2)^-power``, GPy's rational quadratic kernel."""
    return _stationary("RatQuad", input_dim, variance, lengthscale, active_dims, power)


def ExpSineSquared(
    input_dim: int,
    variance: float = 1.0,
    lengthscale: float = 1.0,
    period: float = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return ``variance exp(-2 sin²(π|x - z|/period)/lengthscale²)``, as in scikit-learn."""
    smoothness = _positive("lengthscale", lengthscale, 1)[0]
    return _stationary("ExpSineSquared", input_dim, variance, period, active_dims, smoothness)


def Linear(
    input_dim: int, variances: ArrayLike = 1.0, active_dims: Sequence[int] | None = None
) -> Kernel:
    """Return ``Σ variancesᵢ xᵢ zᵢ``."""
    active = _active(input_dim, active_dims)
    return Kernel((factors.Linear(_positive("variances", variances, len(active)), active),))


def StdPeriodic(
    input_dim: int,
    variance: float = 1.0,
    period: ArrayLike = 1.0,
    lengthscale: ArrayLike = 1.0,
    active_dims: Sequence[int] | None = None,
) -> Kernel:
    """Return ``variance exp(-½ Σ (sin(π(xᵢ - zᵢ)/periodᵢ)/lengthscaleᵢ)²)``."""
    active = _active(input_dim, active_dims)
    periods = _positive("period", period, len(active))
    lengths = _positive("lengthscale", lengthscale, len(active))
    return Kernel((factors.StdPeriodic(_variance(variance), periods, lengths, active),))


def Bias(input_dim: int, variance: float = 1.0) -> Kernel:
    """Return a constant covariance between all points."""
    return Kernel((factors.Bias(_variance(variance)),))


def White(input_dim: int, variance: float = 1.0) -> Kernel:
    """Return independent noise inside the kernel."""
    return Kernel((factors.White(_variance(variance)),))


def _stationary(
    name: str,
    input_dim: int,
    variance: float,
    lengthscale: ArrayLike,
    active_dims: Sequence[int] | None,
    shape: float = 0.0,
) -> Kernel:
    active = _active(input_dim, active_dims)
    if name == "RatQuad":
        shape = float(_positive("power", shape, 1)[0])
    lengths = _positive("lengthscale", lengthscale, len(active))
    return Kernel((Stationary(name, _variance(variance), lengths, active, shape),))


def _active(input_dim: int, active_dims: Sequence[int] | None) -> NDArray[np.int64]:
    """Return the columns of X, all `input_dim` of them unless some are named."""
    active = np.arange(input_dim) if active_dims is None else np.array(active_dims, dtype=np.int64)
    if active.ndim != 1 or not active.size or active.min() < 0:
        raise ValueError(f"active_dims must be column numbers, not {active_dims!r}")
    return active


def _variance(value: float) -> float:
    number = float(value)
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"a kernel's variance must be finite and not negative, not {value!r}")
    return number


def _positive(what: str, given: ArrayLike, count: int) -> FloatArray:
    """Return one positive number, or `count` of them, shape (1,) or (count,)."""
    numbers = np.array(given, dtype=np.float64).reshape(-1)
    if len(numbers) not in (1, count):
        raise ValueError(f"{what} must be one number or {count}, not {len(numbers)}")
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        raise ValueError(f"{what} must be finite and positive, not {given!r}")
    return numbers
