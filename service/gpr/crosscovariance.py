"""Covariances k(x, Z) of many x with a fixed Z: one matrix product and one exponential."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.gpr.kernels import Kernel, Stationary
from service.model import FloatArray

MAX_LENGTHSCALES = 1e100
"""Coordinates are clipped at this many lengthscales from Z, where every covariance is 0.

Squared distances stay finite, so that no finite input ends as a NaN."""


def _rbf(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    """Rasmussen & Williams, equation 4.9, where S holds ``log σ² - r²/2``."""
    np.exp(S, out=S)


def _matern32(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    """``σ²(1 + t)exp(-t)``, equation 4.17, where S holds ``t² = 3r²``."""
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.subtract(log_variance, t, out=scratch)
    np.exp(scratch, out=scratch)
    t += 1
    t *= scratch


def _matern52(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    """``σ²(1 + t + t²/3)exp(-t)``, equation 4.17, where S holds ``t² = 5r²``."""
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.multiply(t, 1 / 3, out=scratch)
    scratch += 1
    scratch *= t
    scratch += 1
    np.subtract(log_variance, t, out=t)
    np.exp(t, out=t)
    t *= scratch


COVARIANCES: dict[str, tuple[float, Callable[[FloatArray, float, FloatArray], None]]] = {
    "RBF": (-0.5, _rbf),
    "Matern32": (3.0, _matern32),
    "Matern52": (5.0, _matern52),
}
"""The factor of r² in the product, and the function that turns it into covariances in place."""

Product = Callable[[FloatArray, FloatArray, FloatArray], object]
"""The product of an array of rows with a matrix, written into the third argument."""


def row_by_row(rows: FloatArray, columns: FloatArray, out: FloatArray) -> None:
    """Write ``rows @ columns`` into `out`, each row on its own."""
    np.vecmat(rows, columns, out=out)


def at_once(rows: FloatArray, columns: FloatArray, out: FloatArray) -> None:
    """Write ``rows @ columns`` into `out` as one matrix product."""
    np.matmul(rows, columns, out=out)


class StationaryRows:
    """One stationary term of k(x, Z).

    With u and w the scaled rows of X and Z, ``c|u - w|²`` is the product of the rows
    ``[u, |u|², 1]`` with the columns ``[-2c w, c, c|w|²]``: one product instead of d differences.
    Both are centred on the mean of Z, which keeps the cancellation small.
    """

    def __init__(
        self, term: Stationary, Z: FloatArray, offset: FloatArray, scale: FloatArray
    ) -> None:
        active = term.active_dims
        centre = Z[:, active].mean(axis=0)
        W = (Z[:, active] - centre) / term.lengthscale
        c, self.covariance = COVARIANCES[term.name]
        self.log_variance = float(np.log(term.variance))
        # The RBF's variance is added to the exponent, where it costs nothing.
        summand = self.log_variance if term.name == "RBF" else 0.0
        self.columns = np.vstack([-2 * c * W.T, np.full(len(Z), c), c * np.vecdot(W, W) + summand])
        self.centre = offset[active] + scale[active] * centre
        self.unit = scale[active] * np.broadcast_to(term.lengthscale, active.shape)
        self.lowest = self.centre - MAX_LENGTHSCALES * self.unit
        self.highest = self.centre + MAX_LENGTHSCALES * self.unit
        self.active = None if np.array_equal(active, np.arange(len(offset))) else active

    def scale(self, X: FloatArray, u: FloatArray, squares: FloatArray) -> None:
        """Write the scaled rows of X and their squared lengths."""
        np.maximum(X if self.active is None else X[:, self.active], self.lowest, out=u)
        np.minimum(u, self.highest, out=u)
        np.subtract(u, self.centre, out=u)
        np.divide(u, self.unit, out=u)
        np.vecdot(u, u, out=squares)


class CrossScratch:
    """Arrays for n points at a time, and the views of them that every call uses."""

    def __init__(self, cross: CrossCovariance, n: int) -> None:
        self.rows = [np.ones((n, len(term.columns))) for term in cross.terms]
        self.scaled = [rows[:, :-2] for rows in self.rows]
        self.squares = [rows[:, -2] for rows in self.rows]
        self.polynomial = np.empty((n, 0 if cross.only_rbf else cross.size))
        self.summand = np.zeros((n, cross.size if len(cross.terms) > 1 else 0))


class CrossCovariance:
    """k(x, Z) of a kernel; X is in raw units, Z in the model's."""

    def __init__(
        self, kernel: Kernel, Z: FloatArray, offset: FloatArray, scale: FloatArray
    ) -> None:
        self.terms = [StationaryRows(term, Z, offset, scale) for term in kernel.stationary]
        self.bias = kernel.bias
        self.size = len(Z)
        self.only_rbf = all(term.name == "RBF" for term in kernel.stationary)

    def write(self, K: FloatArray, X: FloatArray, scratch: CrossScratch, product: Product) -> None:
        """Write the covariances of the rows of X into K, shape (n, N)."""
        if not self.terms:
            K[:] = 0
        for i, term in enumerate(self.terms):
            target = scratch.summand if i else K
            term.scale(X, scratch.scaled[i], scratch.squares[i])
            product(scratch.rows[i], term.columns, target)
            term.covariance(target, term.log_variance, scratch.polynomial)
            if i:
                K += target
        if self.bias:
            K += self.bias
