"""Covariances k(x, Z) by NumPy, of many x with a fixed Z: a matrix product and an exponential each.

Where the rounding of a product would show in the answer, they are computed from differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

import numpy as np

from service.gpr.factors import Bias, Function
from service.gpr.kernels import Kernel
from service.gpr.stationary import Stationary
from service.model import FloatArray

MAX_LENGTHSCALES = 1e100
"""Coordinates are clipped at this many lengthscales from Z, where every covariance is 0.

Squared distances stay finite, so that no finite input ends as a NaN."""


def _rbf(S: FloatArray, term: StationaryRows, scratch: FloatArray) -> None:
    """Rasmussen & Williams, equation 4.9, where S holds ``log σ² - r²/2``."""
    np.exp(S, out=S)


def _matern32(S: FloatArray, term: StationaryRows, scratch: FloatArray) -> None:
    """``σ²(1 + t)exp(-t)``, equation 4.17, where S holds ``t² = 3r²``."""
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.subtract(term.log_variance, t, out=scratch)
    np.exp(scratch, out=scratch)
    t += 1
    t *= scratch


def _matern52(S: FloatArray, term: StationaryRows, scratch: FloatArray) -> None:
    """``σ²(1 + t + t²/3)exp(-t)``, equation 4.17, where S holds ``t² = 5r²``."""
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.multiply(t, 1 / 3, out=scratch)
    scratch += 1
    scratch *= t
    scratch += 1
    np.subtract(term.log_variance, t, out=t)
    np.exp(t, out=t)
    t *= scratch


def _ratquad(S: FloatArray, term: StationaryRows, scratch: FloatArray) -> None:
    """``σ²(1 + t)^-power``, where S holds ``t = r²/2``."""
    np.maximum(S, 0, out=S)
    np.log1p(S, out=S)
    np.multiply(S, -term.shape, out=S)
    S += term.log_variance
    np.exp(S, out=S)


COVARIANCES: dict[str, tuple[float, Callable[[FloatArray, StationaryRows, FloatArray], None]]] = {
    "RBF": (-0.5, _rbf),
    "Matern32": (3.0, _matern32),
    "Matern52": (5.0, _matern52),
    "RatQuad": (0.5, _ratquad),
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
        self.centre = offset[active] + scale[active] * Z[:, active].mean(axis=0)
        # The centre is what the sum was rounded to: far from zero that differs from the mean of Z.
        centre = (self.centre - offset[active]) / scale[active]
        W = (Z[:, active] - centre) / term.lengthscale
        c, self.covariance = COVARIANCES[term.name]
        self.log_variance = float(np.log(term.variance))
        self.shape = term.shape
        # The RBF's variance is added to the exponent, where it costs nothing.
        summand = self.log_variance if term.name == "RBF" else 0.0
        self.columns = np.vstack([-2 * c * W.T, np.full(len(Z), c), c * np.vecdot(W, W) + summand])
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
    """k(x, Z) of a kernel; X is in raw units, Z in the model's.

    Parameters
    ----------
    model_units : turns X into the units of Z
    max_radius : terms whose Z are farther than this from their centre, in lengthscales, are
        computed from differences; so are all terms that are not in `COVARIANCES`
    """

    def __init__(
        self,
        kernel: Kernel,
        Z: FloatArray,
        offset: FloatArray,
        scale: FloatArray,
        model_units: Callable[[FloatArray], FloatArray],
        max_radius: float,
    ) -> None:
        self.terms: list[StationaryRows] = []
        self.others: list[Function] = []
        self.bias = 0.0
        for term in kernel.functions:
            if isinstance(term, Bias):
                self.bias += term.variance
            elif _is_product(term, Z, max_radius):
                self.terms.append(StationaryRows(term, Z, offset, scale))
            else:
                self.others.append(term)
        self.Z = Z
        self.size = len(Z)
        self.model_units = model_units
        self.only_rbf = all(term.covariance is _rbf for term in self.terms)

    def write(self, K: FloatArray, X: FloatArray, scratch: CrossScratch, product: Product) -> None:
        """Write the covariances of the rows of X into K, shape (n, N)."""
        if not self.terms:
            K[:] = 0
        for i, term in enumerate(self.terms):
            target = scratch.summand if i else K
            term.scale(X, scratch.scaled[i], scratch.squares[i])
            product(scratch.rows[i], term.columns, target)
            term.covariance(target, term, scratch.polynomial)
            if i:
                K += target
        if self.others:
            U = self.model_units(X)
            for other in self.others:
                K += other.K(U, self.Z)
        if self.bias:
            K += self.bias


def _is_product(term: Function, Z: FloatArray, max_radius: float) -> TypeGuard[Stationary]:
    """Whether a term can be computed by a matrix product without a loss that shows."""
    if not isinstance(term, Stationary) or term.name not in COVARIANCES:
        return False
    if not term.variance:
        return False
    W = (Z[:, term.active_dims] - Z[:, term.active_dims].mean(axis=0)) / term.lengthscale
    return bool(np.vecdot(W, W).max() <= max_radius**2)
