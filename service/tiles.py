"""Mean and variance of many points, tile by tile: where the time of a prediction goes."""

from __future__ import annotations

import threading

import numpy as np

from service.crosscovariance import CrossCovariance
from service.model import FloatArray
from service.posterior import Posterior
from service.triangle import BlockTriangle

SMALL_TILE = 8
"""Rows of a small tile. BLAS kernels give a row of an 8-row product the same bits wherever it
stands and whatever is beside it; of wider ones they do not."""

BLOCK = 128
"""Rows of a block of the triangle: small ones waste fewer operations, large ones fewer calls."""


class _Scratch:
    """What a tile of n rows is computed in, so that a prediction allocates its answer only."""

    def __init__(self, n: int, inputs: int, cross: CrossCovariance, width: int) -> None:
        self.X = np.zeros((n, inputs))
        self.K = np.zeros((n, cross.size))
        self.V = np.zeros((n, width))
        self.cross = cross.scratch(n)


class TiledPredictor:
    """Latent mean and variance in raw units; safe to call from several threads.

    The output's scale is folded into the triangle and α once, so that tiles need no more than
    k(x, Z), one product, and a sum of squares.
    """

    def __init__(self, posterior: Posterior, large_tile: int) -> None:
        self.inputs = posterior.X.shape[1]
        self.cross = CrossCovariance(
            posterior.kernel, posterior.X, posterior.input_offset, posterior.input_scale
        )
        s = posterior.output_scale
        self.triangle = BlockTriangle(s * posterior.factor, s * posterior.alpha, BLOCK)
        self.large_tile = large_tile
        self._local = threading.local()

    def into(self, out: FloatArray, X: FloatArray) -> None:
        """Write kᵀα and ‖C k‖² of every row of X into out, shape (n, 2)."""
        n = len(X)
        large = n - n % self.large_tile
        if large:
            scratch = self._scratch("large", self.large_tile, BLOCK + 1)
            for i in range(0, large, self.large_tile):
                rows = slice(i, i + self.large_tile)
                self._large(out[rows], X[rows], scratch)
        if large < n:
            scratch = self._scratch("small", SMALL_TILE, self.cross.size + 1)
            for i in range(large, n, SMALL_TILE):
                self._small(out[i : i + SMALL_TILE], X[i : i + SMALL_TILE], scratch)

    def _scratch(self, name: str, n: int, width: int) -> _Scratch:
        try:
            return getattr(self._local, name)  # type: ignore[no-any-return]
        except AttributeError:
            scratch = _Scratch(n, self.inputs, self.cross, width)
            setattr(self._local, name, scratch)
            return scratch

    def _small(self, out: FloatArray, X: FloatArray, scratch: _Scratch) -> None:
        n, K, V = len(X), scratch.K, scratch.V
        scratch.X[:n] = X
        scratch.X[n:] = 0
        self.cross.into(K, scratch.X, scratch.cross, n)
        self.triangle.products(K, V)
        out[:, 0] = V[:n, -1]
        np.vecdot(V[:n, :-1], V[:n, :-1], out=out[:, 1])

    def _large(self, out: FloatArray, X: FloatArray, scratch: _Scratch) -> None:
        self.cross.into(scratch.K, X, scratch.cross, len(X))
        self.triangle.into(out, scratch.K, scratch.V)
