"""Mean and variance by the compiled kernel: a point has the same bits however it is asked."""

from __future__ import annotations

import ctypes
import threading
from ctypes import c_void_p

import numpy as np

from service.gpr.factors import Single, StdPeriodic, factors_of
from service.gpr.means import Trend
from service.gpr.native import ROWS, Library, Term, Triangle, aligned, padded
from service.gpr.posterior import Posterior
from service.gpr.predictor import Predictor
from service.gpr.stationary import Stationary
from service.model import FloatArray

TILE = 256
"""Points at once: enough that the triangle is read rarely, few enough to stay in the caches."""

FORMS = (
    *("RBF", "Exponential", "Matern32", "Matern52", "RatQuad", "ExpSineSquared"),
    "StdPeriodic",
)
"""In the order of `triangle.c`."""


def _address(array: FloatArray) -> c_void_p:
    return c_void_p(array.ctypes.data)


class PackedTriangle:
    """C and α as `struct triangle`: zeros fill them up, and panels hold `ROWS` rows of C each."""

    def __init__(self, library: Library, factor: FloatArray, alpha: FloatArray, scale: float):
        self.library = library
        self.size, N = len(alpha), padded(len(alpha))
        self.padded = N
        self._C, self._alpha = aligned(N * (N + ROWS) // 2), aligned(N)
        self._alpha[: self.size] = scale * alpha
        start = 0
        for first in range(0, N, ROWS):
            columns = first + ROWS
            panel = self._C[start : start + columns * ROWS].reshape(columns, ROWS)
            for row in range(first, min(columns, self.size)):
                at = row * (row + 1) // 2
                np.multiply(factor[at : at + row + 1], scale, out=panel[: row + 1, row - first])
            start += columns * ROWS
        self.struct = Triangle(N, _address(self._C), _address(self._alpha))
        self.pointer = ctypes.pointer(self.struct)

    def factor_product(self, K: FloatArray) -> FloatArray:
        """Return ``K @ C.T``, shape (n, N)."""
        K, V = self._filled_up(K), aligned(len(K), self.padded)
        self.library.product(self.pointer, _address(K), len(K), False, _address(V))
        return V[:, : self.size]

    def transposed_product(self, V: FloatArray) -> FloatArray:
        """Return ``V @ C``, shape (n, N)."""
        V, W = self._filled_up(V), aligned(len(V), self.padded)
        self.library.transposed(self.pointer, _address(V), len(V), _address(W))
        return W[:, : self.size]

    def _filled_up(self, rows: FloatArray) -> FloatArray:
        filled = aligned(len(rows), self.padded)
        filled[:, : self.size] = rows
        return filled


class CompiledTerm:
    """A covariance function as `struct term`."""

    def __init__(self, term: Stationary | StdPeriodic, p: Posterior) -> None:
        active, d = np.ascontiguousarray(term.active_dims), len(term.active_dims)
        Z = aligned(d, padded(len(p.X)))
        Z[:, : len(p.X)] = p.X[:, active].T
        sharpness = 1 / np.broadcast_to(term.lengthscale, active.shape)
        inverse, shape = sharpness, 0.0
        if isinstance(term, StdPeriodic):
            inverse = 1 / np.broadcast_to(term.period, active.shape)
        else:
            shape = term.shape
        offset, scale = (np.ascontiguousarray(a[active]) for a in (p.input_offset, p.input_scale))
        self._arrays = active, offset, scale, inverse, sharpness, Z
        self.struct = Term(
            *(FORMS.index(term.name), p.X.shape[1], d, Z.shape[1]),
            *(term.variance, shape),
            *(array.ctypes.data for array in self._arrays),
        )
        self.pointer = ctypes.pointer(self.struct)


Factor = Single | CompiledTerm


class _Scratch:
    """Arrays for up to n points, where they are, and which way the triangle was read last."""

    def __init__(self, n: int, inputs: int, N: int) -> None:
        self.n = n
        self.X, self.sums = aligned(n, inputs), aligned(n, 2)
        self.K, self.V = aligned(n, N), aligned(n, N)
        self.addresses = tuple(map(_address, (self.X, self.K, self.V, self.sums)))
        self.spare: list[FloatArray] = []
        self.backwards = True

    def another(self, which: int) -> FloatArray:
        """Return one more array of covariances."""
        while len(self.spare) <= which:
            self.spare.append(aligned(*self.K.shape))
        return self.spare[which]


class _Scratches(threading.local):
    """The arrays of one thread, as large as it has needed."""

    scratch: _Scratch | None = None


class CompiledPredictor(Predictor):
    """A `Predictor` whose sums have an order of their own, so that it has only one way."""

    ways = (1,)

    def __init__(self, posterior: Posterior, library: Library) -> None:
        super().__init__(posterior)
        p, self.library = posterior, library
        self.arithmetic = f"compiled for {library.build}"
        self.triangle: PackedTriangle = PackedTriangle(library, p.factor, p.alpha, p.output_scale)
        self.terms = [
            [self._compiled(factor) for factor in factors_of(term)] for term in p.kernel.functions
        ]
        self.inputs = p.X.shape[1]
        self._scratches = _Scratches()
        if self.trend is not None:
            self._Q = aligned(self.trend.Q.shape[1], self.triangle.padded)
            self._Q[:, : self.triangle.size] = self.trend.Q.T

    def _compiled(self, factor: Single) -> Factor:
        if isinstance(factor, Stationary | StdPeriodic):
            return CompiledTerm(factor, self.posterior)
        return factor

    def write(self, out: FloatArray, X: FloatArray) -> None:
        """Write mean and latent variance of every row of X into `out`, shape (n, 2)."""
        for i in range(0, len(X), TILE):
            self._write(out[i : i + TILE], X[i : i + TILE])

    def _write(self, out: FloatArray, X: FloatArray) -> None:
        n, scratch = len(X), self._scratch(len(X))
        scratch.X[:n] = X
        self._covariances(scratch, n)
        _, K, V, sums = scratch.addresses
        scratch.backwards = not scratch.backwards
        self.library.predict(self.triangle.pointer, K, n, scratch.backwards, V, sums)
        self.finish(out, X, scratch.sums[:n, 0], scratch.sums[:n, 1], scratch.V[:n])

    def _scratch(self, n: int) -> _Scratch:
        scratch = self._scratches.scratch
        if scratch is None or scratch.n < n:
            rows = min(TILE, 1 << (n - 1).bit_length())
            scratch = _Scratch(rows, self.inputs, self.triangle.padded)
            self._scratches.scratch = scratch
        return scratch

    def _covariances(self, scratch: _Scratch, n: int) -> None:
        """Write k(x, Z), the sum of products of factors."""
        if not self.terms:
            scratch.K[:n] = 0
        for i, (first, *others) in enumerate(self.terms):
            K = scratch.another(0) if i else scratch.K
            self._factor(first, scratch, n, K)
            for other in others:
                factor = scratch.another(1)
                self._factor(other, scratch, n, factor)
                K[:n] *= factor[:n]
            if i:
                scratch.K[:n] += K[:n]

    def _factor(self, factor: Factor, scratch: _Scratch, n: int, K: FloatArray) -> None:
        if isinstance(factor, CompiledTerm):
            X, here, _, _ = scratch.addresses
            target = here if K is scratch.K else _address(K)
            self.library.covariances(factor.pointer, X, n, target)
        else:
            p = self.posterior
            K[:n, : self.triangle.size] = factor.K(p.model_units(scratch.X[:n]), p.X)

    def trend_rows(self, trend: Trend, U: FloatArray, V: FloatArray) -> FloatArray:
        """Return `Trend.rows`, in an order of its own like the rest."""
        n, r = len(V), len(self._Q)
        rows = np.empty((n, r))
        self.library.dots(_address(V), n, _address(self._Q), r, V.shape[1], _address(rows))
        np.negative(rows, out=rows)
        for h, t in zip(self.posterior.mean.design(U).T, trend.T.T, strict=True):
            rows += self.posterior.output_scale * (h[:, None] * t)
        return rows
