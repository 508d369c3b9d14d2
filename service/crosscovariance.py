"""k(x, Z) for many x and a fixed Z, as one matrix product and one exponential."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.kernels import Kernel, Stationary
from service.model import FloatArray

FARTHEST = 1e100
"""In lengthscales: a coordinate farther out is moved here, where every covariance is 0 already.

Squared distances then stay finite, so that no finite input ends as a NaN."""


def _rbf(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    np.exp(S, out=S)


def _matern32(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.subtract(log_variance, t, out=scratch)
    np.exp(scratch, out=scratch)
    t += 1
    t *= scratch


def _matern52(S: FloatArray, log_variance: float, scratch: FloatArray) -> None:
    np.maximum(S, 0, out=S)
    t = np.sqrt(S, out=S)
    np.multiply(t, 1 / 3, out=scratch)
    scratch += 1
    scratch *= t
    scratch += 1
    np.subtract(log_variance, t, out=t)
    np.exp(t, out=t)
    t *= scratch


IN_PLACE: dict[str, tuple[float, Callable[[FloatArray, float, FloatArray], None]]] = {
    "RBF": (-0.5, _rbf),
    "Matern32": (3.0, _matern32),
    "Matern52": (5.0, _matern52),
}
"""What r² is multiplied by in the product, and what makes covariances of that, in place."""


class StationaryRows:
    """One stationary term against Z, for tiles of a fixed number of rows.

    With u and w the scaled rows of X and Z, ``c|u - w|²`` is the product of the rows
    ``[u, |u|², 1]`` with the columns ``[-2c w, c, c|w|²]``: one product instead of d differences.
    Both are centred on Z first, which keeps the cancellation small.
    """

    def __init__(
        self, term: Stationary, Z: FloatArray, offset: FloatArray, scale: FloatArray
    ) -> None:
        active = term.active_dims
        centre = Z[:, active].mean(axis=0)
        W = (Z[:, active] - centre) / term.lengthscale
        c, self.covariance = IN_PLACE[term.name]
        self.log_variance = float(np.log(term.variance))
        constant = self.log_variance if term.name == "RBF" else 0.0
        self.columns = np.vstack([-2 * c * W.T, np.full(len(Z), c), c * np.vecdot(W, W) + constant])
        self.centre = offset[active] + scale[active] * centre
        self.unit = scale[active] * np.broadcast_to(term.lengthscale, active.shape)
        self.lowest = self.centre - FARTHEST * self.unit
        self.highest = self.centre + FARTHEST * self.unit
        whole = np.array_equal(active, np.arange(len(offset)))
        self.active = None if whole else active

    def rows(self, n: int) -> FloatArray:
        """Scratch for n rows ``[u, |u|², 1]``."""
        return np.ones((n, len(self.columns)))

    def into(self, K: FloatArray, X: FloatArray, rows: FloatArray, n: int) -> None:
        """Write r² (times c) of all of X into K, and of the first n rows make covariances later."""
        u = rows[:, :-2]
        np.maximum(X if self.active is None else X[:, self.active], self.lowest, out=u)
        np.minimum(u, self.highest, out=u)
        np.subtract(u, self.centre, out=u)
        np.divide(u, self.unit, out=u)
        np.vecdot(u, u, out=rows[:, -2])
        np.matmul(rows, self.columns, out=K)


class CrossCovariance:
    """k(x, Z) of a whole kernel; X is in raw units, Z in the model's."""

    def __init__(self, kernel: Kernel, Z: FloatArray, offset: FloatArray, scale: FloatArray):
        self.terms = [StationaryRows(term, Z, offset, scale) for term in kernel.stationary]
        self.bias = kernel.bias
        self.size = len(Z)
        self.exponential_only = [term.name for term in kernel.stationary] == ["RBF"]

    def scratch(self, n: int) -> list[FloatArray]:
        """What `into` needs for tiles of n rows: one array for each term, then two like K."""
        return [
            *(term.rows(n) for term in self.terms),
            np.zeros((n, 0 if self.exponential_only else self.size)),
            np.zeros((n, self.size if len(self.terms) > 1 else 0)),
        ]

    def into(self, K: FloatArray, X: FloatArray, scratch: list[FloatArray], n: int) -> None:
        """Write the covariances of the first n rows of X into K.

        The products are of the whole tile, filled up or not, so that their rounding cannot
        depend on n; what goes element by element is spared the filling.
        """
        if not self.terms:
            K[:n] = self.bias
            return
        for i, term in enumerate(self.terms):
            target = scratch[-1] if i else K
            term.into(target, X, scratch[i], n)
            term.covariance(target[:n], term.log_variance, scratch[-2][:n])
            if i:
                K[:n] += target[:n]
        if self.bias:
            K[:n] += self.bias
