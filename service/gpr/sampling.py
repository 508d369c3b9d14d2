"""Draws from the posterior as functions of x, determined by a seed.

A draw from the prior, made of random Fourier features, is corrected by the data (Matheron's rule):
Wilson et al., Efficiently sampling functions from Gaussian process posteriors, ICML 2020,
equations 8 and 13. A draw can then be evaluated anywhere, piece by piece, without the covariance of
all points.
"""

from __future__ import annotations

import numpy as np

from service.gpr.kernels import Stationary
from service.gpr.posterior import Posterior
from service.model import FloatArray

FREQUENCIES = 2048
"""Random frequencies per term, each a cosine and a sine. The prior's variance is exact and its
correlations are off by about 1/√(2·2048) = 1.6 %; near data the correction removes most of that."""

FEATURE_ROWS = 256
"""Training inputs whose features are in memory at once."""

TILE = 8
"""Points and draws per product: in a fixed shape the bits do not depend on how X is cut."""


class _Features:
    """cos(ωx) and sin(ωx) of one stationary term; Rahimi & Recht 2007, equation 5."""

    def __init__(self, term: Stationary, d: int, rng: np.random.Generator) -> None:
        z = rng.standard_normal((len(term.active_dims), FREQUENCIES))
        freedom = term.form.degrees_of_freedom
        if freedom is not None:
            z *= np.sqrt(freedom / rng.chisquare(freedom, FREQUENCIES))
        self.frequencies = np.zeros((d, FREQUENCIES))
        scale = np.broadcast_to(term.lengthscale, term.active_dims.shape)
        self.frequencies[term.active_dims] = z / scale[:, None]
        self.amplitude = float(np.sqrt(term.variance / FREQUENCIES))

    def at(self, X: FloatArray) -> FloatArray:
        """Return the features at X, shape (n, 2 FREQUENCIES)."""
        phase = X @ self.frequencies
        waves: FloatArray = np.hstack([np.cos(phase), np.sin(phase)])
        return self.amplitude * waves


class PathwiseDraws:
    """`count` functions of x in the model's units, the same for the same `seed`.

    Draw i is the same, but for rounding, whatever `count` is. The kernel's white noise belongs to
    observations, not to the function, and is left out.
    """

    def __init__(self, posterior: Posterior, count: int, seed: int) -> None:
        self.posterior, self.count = posterior, count
        rng = np.random.default_rng([seed])
        d = posterior.X.shape[1]
        self.features = [_Features(term, d, rng) for term in posterior.kernel.stationary]
        columns = -(-count // TILE) * TILE
        Z, N = posterior.X, len(posterior.X)
        width = 2 * FREQUENCIES * len(self.features) + 1
        self.weights = np.zeros((width, columns))
        noise = np.zeros((N, columns))
        for i in range(count):
            own = np.random.default_rng([seed, i])
            self.weights[:, i] = own.standard_normal(width)
            noise[:, i] = own.standard_normal(N)
        # f(x) = prior(x) + k(x, Z) (α - Cᵀ [C prior(Z) + S^½ z]),  S = I - C K Cᵀ
        C = self._factor()
        prior = np.vstack([self._prior(Z[i : i + FEATURE_ROWS]) for i in range(0, N, FEATURE_ROWS)])
        residual = C @ prior + self._root(C) @ noise
        self.update = posterior.alpha[:, None] - C.T @ residual
        self.update[:, count:] = 0

    def at(self, X: FloatArray) -> FloatArray:
        """Return the values at X, shape (count, n)."""
        out = np.empty((self.count, len(X)))
        tile = np.zeros((TILE, X.shape[1]))
        for i in range(0, len(X), TILE):
            n = min(TILE, len(X) - i)
            tile[:n] = X[i : i + n]
            values = self._prior(tile)
            K = self.posterior.kernel.K(tile, self.posterior.X)
            for j in range(0, self.count, TILE):
                values[:, j : j + TILE] += K @ self._columns(self.update, j)
            out[:, i : i + n] = values[:n, : self.count].T
        return out

    def _prior(self, X: FloatArray) -> FloatArray:
        bias = np.full((len(X), 1), np.sqrt(self.posterior.kernel.bias))
        F = np.hstack([*(features.at(X) for features in self.features), bias])
        blocks = [F @ self._columns(self.weights, j) for j in range(0, self.weights.shape[1], TILE)]
        return np.hstack(blocks)

    @staticmethod
    def _columns(A: FloatArray, j: int) -> FloatArray:
        return A[:, j : j + TILE]

    def _factor(self) -> FloatArray:
        N = len(self.posterior.X)
        C = np.zeros((N, N))
        C[np.tri(N, dtype=np.bool_)] = self.posterior.factor
        return C

    def _root(self, C: FloatArray) -> FloatArray:
        """Return S^½, which is σC for an exact GP, where K + σ²I = C⁻¹C⁻ᵀ."""
        p = self.posterior
        if not p.inducing:
            return float(np.sqrt(p.noise_variance + p.kernel.white)) * C
        values, U = np.linalg.eigh(np.eye(len(C)) - C @ p.kernel.K(p.X, p.X) @ C.T)
        root: FloatArray = U * np.sqrt(np.maximum(values, 0))
        return root
