"""Mean and variance by NumPy, tile by tile, where nothing is compiled."""

from __future__ import annotations

import threading

import numpy as np

from service.gpr.crosscovariance import CrossCovariance, CrossScratch, at_once, row_by_row
from service.gpr.posterior import Posterior
from service.gpr.predictor import Predictor
from service.gpr.triangle import BlockTriangle
from service.model import FloatArray

SMALL_TILE = 8
"""Points of a small tile. BLAS gives a row of an 8-row product the same bits wherever it is and
whatever the other rows are; in wider products it does not."""

LARGE_TILE = 256
"""Points from which an array is computed in tiles of so many."""

MAX_ROW_BY_ROW = 1000
"""Training inputs up to which the points of a small tile are multiplied one by one.

The triangle then fits the processor's cache, and one product per point is four times faster for
a single point and no slower for five. Beyond that a tile is always one product: slower for a single
point, but faster the more points wait."""

PRODUCT_LOSS = 1e-11
"""The largest loss, of the prior's deviation or variance, that faster distances may cost."""

BLOCK = 96
"""Rows per block of the triangle: small blocks save operations, large ones save calls."""


class _SmallScratch:
    """Arrays for n ≤ SMALL_TILE points: n rows, or a full tile of which they use a part."""

    def __init__(self, n: int, predictor: TiledPredictor) -> None:
        size = predictor.cross.size
        rows = n if predictor.row_by_row else SMALL_TILE
        self.all_X = np.zeros((rows, predictor.inputs))
        self.X = self.all_X[:n]
        self.K = np.zeros((rows, size))
        V = np.zeros((rows, size + 1))
        self.K_blocks = predictor.triangle.inputs(self.K)
        self.V_blocks = predictor.triangle.outputs(V)
        self.mean = V[:n, -1]
        self.V = V[:n, :-1]
        self.squares = np.zeros(n)
        self.cross = CrossScratch(predictor.cross, rows)


class _LargeScratch:
    """Arrays for a large tile; a shorter one at the end of an array uses a part of `full`."""

    def __init__(self, n: int, predictor: TiledPredictor, full: _LargeScratch | None = None):
        self.K: FloatArray = np.zeros((n, predictor.cross.size)) if full is None else full.K[:n]
        self.V = np.zeros((n, 0 if predictor.triangle.trmm else BLOCK))
        self.mean = np.zeros(n)
        self.squares = np.zeros(n)
        self.cross = CrossScratch(predictor.cross, n)


class _Scratches(threading.local):
    """The arrays of one thread, made on first use: a prediction allocates only its answer."""

    def __init__(self) -> None:
        self.small: list[_SmallScratch | None] = [None] * (SMALL_TILE + 1)
        self.large: _LargeScratch | None = None


class TiledPredictor(Predictor):
    """A `Predictor` where nothing is compiled.

    Up to `LARGE_TILE` points are computed in small tiles, more in tiles of that size. The bits of
    the two differ, and those of a point in a large tile depend on how many it has.
    """

    arithmetic = "NumPy"
    ways = (1, LARGE_TILE)

    def __init__(self, posterior: Posterior) -> None:
        super().__init__(posterior)
        p = posterior
        self.inputs = p.X.shape[1]
        s = p.output_scale
        self.row_by_row = len(p.X) <= MAX_ROW_BY_ROW
        self.triangle: BlockTriangle = BlockTriangle(
            s * p.factor, s * p.alpha, BLOCK, copies=self.row_by_row
        )
        self.cross = CrossCovariance(
            p.kernel, p.X, p.input_offset, p.input_scale, p.model_units, self._max_radius()
        )
        self._scratches = _Scratches()

    def _max_radius(self) -> float:
        """Return how far Z may spread, in lengthscales, for distances by a matrix product.

        A product of scaled rows rounds r² by about ε times the square of their largest distance R
        from the centre. In the mean this is multiplied by up to ``k ‖α‖₁``, in the variance by a
        row of C for each of its squares; both are to stay below `PRODUCT_LOSS` of the prior.
        """
        p = self.posterior
        prior = float(np.max(p.kernel.diagonal(p.X)))
        rows = float(np.sqrt(np.vecdot(self.triangle.C, self.triangle.C).max())) / p.output_scale
        gain = np.sqrt(prior) * max(float(np.abs(p.alpha).sum()), rows)
        return float(np.sqrt(PRODUCT_LOSS / (np.finfo(np.float64).eps * gain))) if gain else np.inf

    def write(self, out: FloatArray, X: FloatArray) -> None:
        """Write mean and latent variance of every row of X into `out`, shape (n, 2)."""
        n = len(X)
        if n >= LARGE_TILE:
            for i in range(0, n, LARGE_TILE):
                self._large(out[i : i + LARGE_TILE], X[i : i + LARGE_TILE])
            return
        for i in range(0, n, SMALL_TILE):
            j = min(i + SMALL_TILE, n)
            self._small(out[i:j], X[i:j], j - i)

    def _small(self, out: FloatArray, X: FloatArray, n: int) -> None:
        scratch = self._scratches.small[n]
        if scratch is None:
            scratch = self._scratches.small[n] = _SmallScratch(n, self)
        scratch.X[:] = X
        if self.row_by_row:
            self.cross.write(scratch.K, scratch.X, scratch.cross, row_by_row)
            self.triangle.row_by_row(scratch.K_blocks, scratch.V_blocks)
        else:
            self.cross.write(scratch.K, scratch.all_X, scratch.cross, at_once)
            self.triangle.at_once(scratch.K_blocks, scratch.V_blocks)
        np.vecdot(scratch.V, scratch.V, out=scratch.squares)
        self.finish(out, X, scratch.mean, scratch.squares, scratch.V)

    def _large(self, out: FloatArray, X: FloatArray) -> None:
        scratch = self._scratches.large
        if scratch is None:
            scratch = self._scratches.large = _LargeScratch(LARGE_TILE, self)
        if len(X) < LARGE_TILE:
            scratch = _LargeScratch(len(X), self, scratch)
        self.cross.write(scratch.K, X, scratch.cross, at_once)
        V = None if self.trend is None else self.triangle.factor_product(scratch.K)
        self.triangle.sums_of_squares(scratch.mean, scratch.squares, scratch.K, scratch.V)
        self.finish(out, X, scratch.mean, scratch.squares, V)
