"""Mean and variance in raw units, whatever computes the sums that take most of the time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np

from service.gpr.factors import Single, factors_of
from service.gpr.kernels import Kernel
from service.gpr.means import Trend
from service.gpr.posterior import Posterior
from service.model import FloatArray


class Triangle(Protocol):
    """C, lower triangular (N, N), times the output's scale."""

    def factor_product(self, K: FloatArray) -> FloatArray:
        """Return ``K @ C.T``, shape (n, N)."""

    def transposed_product(self, V: FloatArray) -> FloatArray:
        """Return ``V @ C``, shape (n, N)."""


class Predictor(ABC):
    """Mean and latent variance in raw units; safe to call from several threads.

    X has the columns of the posterior's `Encoding`. The output's scale is folded into C and α once,
    so that a point needs only k(x, Z), a product and a sum of squares.

    Attributes
    ----------
    arithmetic : what computes, as `GET /model` shows it
    ways : numbers of points that are computed in different ways
    """

    arithmetic: str
    ways: tuple[int, ...]
    triangle: Triangle

    def __init__(self, posterior: Posterior) -> None:
        p = self.posterior = posterior
        self.offset = p.output_offset
        self.trend = Trend(p.mean.design(p.X), p.triangle()) if p.mean.estimated else None
        self.constant_prior = all(not hasattr(f, "variances") for f in _factors(p.kernel))
        self.prior = float(p.output_scale**2 * p.kernel.diagonal(p.X[:1])[0])
        self.plain = self.constant_prior and p.mean.basis == "none"

    @abstractmethod
    def write(self, out: FloatArray, X: FloatArray) -> None:
        """Write mean and latent variance of every row of X into `out`, shape (n, 2)."""

    def trend_rows(self, trend: Trend, U: FloatArray, V: FloatArray) -> FloatArray:
        """Return `Trend.rows` of U in the model's units and of their ``V = K @ C.T``."""
        p = self.posterior
        return trend.rows(p.mean.design(U), V, p.output_scale)

    def finish(
        self,
        out: FloatArray,
        X: FloatArray,
        mean: FloatArray,
        squares: FloatArray,
        V: FloatArray | None,
    ) -> None:
        """Write ``kᵀα`` plus the mean function, and the prior's variance less ``‖C k‖²``.

        Parameters
        ----------
        V : ``K @ C.T``, needed for an estimated mean only
        """
        np.add(mean, self.offset, out=out[:, 0])
        np.subtract(self.prior, squares, out=out[:, 1])
        if self.plain:
            return
        p, s = self.posterior, self.posterior.output_scale
        U = p.model_units(X)
        if not self.constant_prior:
            np.subtract(s**2 * p.kernel.diagonal(U), squares, out=out[:, 1])
        out[:, 0] += s * p.mean.at(U)
        if self.trend is not None:
            assert V is not None
            T = self.trend_rows(self.trend, U, V)
            out[:, 1] += np.vecdot(T, T)


def _factors(kernel: Kernel) -> list[Single]:
    """Return the factors of all terms."""
    found: list[Single] = []
    for term in kernel.functions:
        found += factors_of(term)
    return found
