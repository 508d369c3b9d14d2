"""Draws from the posterior, determined by a seed: exact ones of a few points, or functions of x.

Functions: a draw from the prior, made of random Fourier features, is corrected by the data
(Matheron's rule): Wilson et al., Efficiently sampling functions from Gaussian process posteriors,
ICML 2020, equations 8 and 13. A draw can then be evaluated anywhere, piece by piece, without the
covariance of all points.
"""

from __future__ import annotations

import math

import numpy as np

from service.gpr.factors import Bias, Function, Linear, StdPeriodic, factors_of
from service.gpr.means import Trend
from service.gpr.posterior import Posterior
from service.gpr.stationary import Stationary
from service.model import FloatArray, Unsupported

FREQUENCIES = 2048
"""Random frequencies per term, each a cosine and a sine. The prior's variance is exact and its
correlations are off by about 1/√(2·2048) = 1.6 %, which the correction removes only in part."""

FEATURE_ROWS = 256
"""Training inputs whose features are in memory at once."""

TILE = 8
"""Points and draws per product: in a fixed shape the bits do not depend on how X is cut."""

BLOCK_NUMBERS = 4_000_000
"""Numbers of the draws that are in memory at once: 32 MB."""


_FEATURES = 2**63
"""The stream of the frequencies, which no draw has."""


def _generator(seed: int, stream: int) -> np.random.Generator:
    """Return random numbers: streams and seeds share none."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))


def joint_draws(mean: FloatArray, covariance: FloatArray, count: int, seed: int) -> FloatArray:
    """Return draws of a normal distribution, shape (count, n).

    Draw i is the same, but for rounding, whatever `count` is, and at the first points whatever
    others follow them.

    Parameters
    ----------
    mean : shape (n,)
    covariance : shape (n, n)
    """
    z = np.empty((len(mean), count))
    for point in range(len(mean)):  # a generator takes 25 µs: there may be a million draws
        z[point] = _generator(seed, point).standard_normal(count)
    draws: FloatArray = mean + z.T @ _root(covariance).T
    return draws


def _root(covariance: FloatArray) -> FloatArray:
    """Return the Cholesky factor, with as little on the diagonal as rounding requires."""
    largest = float(np.max(np.diag(covariance), initial=0.0))
    identity = np.eye(len(covariance))
    for jitter in (0.0, *(10.0**k for k in range(-16, 0))):
        try:
            return np.asarray(np.linalg.cholesky(covariance + jitter * largest * identity))
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(np.maximum(np.diag(covariance), 0)))


def _frequencies(factor: Function, d: int, rng: np.random.Generator) -> FloatArray:
    """Draw frequencies from the spectral density of a factor, shape (d, FREQUENCIES).

    Raises `Unsupported`: its density is not known.
    """
    W = np.zeros((d, FREQUENCIES))
    if isinstance(factor, Stationary):
        active = factor.active_dims
        z = rng.standard_normal((len(active), FREQUENCIES))
        z *= _spread(factor, rng)
        W[active] = z / np.broadcast_to(factor.lengthscale, active.shape)[:, None]
    elif isinstance(factor, StdPeriodic):
        # exp(-½ sin²(πx/T)/l²) is a Fourier series whose coefficients are a Skellam distribution.
        active = factor.active_dims
        period, lengthscale = (
            np.broadcast_to(a, active.shape)[:, None] for a in (factor.period, factor.lengthscale)
        )
        size = (len(active), FREQUENCIES)
        rate = np.broadcast_to(1 / (8 * lengthscale**2), size)
        W[active] = 2 * np.pi / period * (rng.poisson(rate) - rng.poisson(rate))
    return W


def _spread(factor: Stationary, rng: np.random.Generator) -> FloatArray:
    """Return what normal frequencies are multiplied by, shape (FREQUENCIES,)."""
    freedom = {"Exponential": 1, "Matern32": 3, "Matern52": 5}.get(factor.name)
    if freedom is not None:  # the spectral density is a Student t
        spread: FloatArray = np.sqrt(freedom / rng.chisquare(freedom, FREQUENCIES))
        return spread
    if factor.name == "RatQuad":  # a mixture of RBFs: Rasmussen & Williams, equation 4.20
        return np.sqrt(rng.gamma(factor.shape, 1.0, FREQUENCIES))
    if factor.name == "RBF":
        return np.ones(FREQUENCIES)
    raise Unsupported(f"draws as functions are not supported for the kernel {factor.name}")


def _width(term: Function) -> int:
    """Return the number of features of one term."""
    factors = factors_of(term)
    waves = any(isinstance(factor, Stationary | StdPeriodic) for factor in factors)
    slopes = (len(factor.active_dims) for factor in factors if isinstance(factor, Linear))
    return math.prod(slopes, start=2 * FREQUENCIES if waves else 1)


def numbers_per_draw(posterior: Posterior) -> int:
    """Return how many numbers one function takes, besides those that all of them share.

    They are its weights, and three for each training or inducing input while it is made.
    """
    return sum(map(_width, posterior.kernel.functions)) + 3 * len(posterior.X)


def blocks(posterior: Posterior, count: int) -> list[range]:
    """Return the draws 0 to `count` in parts of at most `BLOCK_NUMBERS` numbers."""
    size = max(1, BLOCK_NUMBERS // numbers_per_draw(posterior) // TILE) * TILE
    return [range(i, min(i + size, count)) for i in range(0, count, size)]


class _Features:
    """Features of one term: cos(ωx) and sin(ωx), times xᵢ for a linear factor.

    Rahimi & Recht 2007, equation 5. The spectral density of a product is that of a sum of
    independent frequencies.
    """

    def __init__(self, term: Function, d: int, rng: np.random.Generator) -> None:
        factors = factors_of(term)
        waves = [f for f in factors if isinstance(f, Stationary | StdPeriodic)]
        self.frequencies = np.zeros((d, FREQUENCIES if waves else 0))
        for wave in waves:
            self.frequencies += _frequencies(wave, d, rng)
        variance = 1.0
        for factor in factors:
            if not isinstance(factor, Linear):
                assert isinstance(factor, Stationary | StdPeriodic | Bias)
                variance *= factor.variance
        self.amplitude = float(np.sqrt(variance / (FREQUENCIES if waves else 1)))
        self.linear = [f for f in factors if isinstance(f, Linear)]

    def at(self, X: FloatArray) -> FloatArray:
        """Return the features at X, shape (n, width)."""
        F = np.full((len(X), 1), self.amplitude)
        if self.frequencies.shape[1]:
            phase = X @ self.frequencies
            F = self.amplitude * np.hstack([np.cos(phase), np.sin(phase)])
        for factor in self.linear:
            slopes = np.sqrt(np.broadcast_to(factor.variances, factor.active_dims.shape))
            columns = zip(factor.active_dims, slopes, strict=True)
            F = np.hstack([F * (slope * X[:, i, None]) for i, slope in columns])
        return F


class Drawing:
    """What the draws of one seed share while they are made; C takes N² numbers.

    Raises `Unsupported`: the kernel's spectral density is not known.
    """

    def __init__(self, posterior: Posterior, seed: int) -> None:
        p = self.posterior = posterior
        self.seed = seed
        rng = _generator(seed, _FEATURES)
        self.features = [_Features(f, p.X.shape[1], rng) for f in p.kernel.functions]
        self.C = p.triangle()
        self.trend = Trend(p.mean.design(p.X), self.C) if p.mean.estimated else None
        self.root = self._root() if p.inducing else None

    def noise(self, z: FloatArray) -> FloatArray:
        """Return S^½ z; for an exact GP S is C diag(nugget) Cᵀ, as K + diag(nugget) is C⁻¹C⁻ᵀ."""
        if self.root is not None:
            return self.root @ z
        return self.C @ (np.sqrt(self.posterior.nugget)[:, None] * z)

    def _root(self) -> FloatArray:
        p, C = self.posterior, self.C
        values, U = np.linalg.eigh(np.eye(len(C)) - C @ p.kernel.K(p.X, p.X) @ C.T)
        root: FloatArray = U * np.sqrt(np.maximum(values, 0))
        return root


class PathwiseDraws:
    """Some draws of a seed: functions of x in the model's units.

    Draw i is the same, but for rounding, with whichever others it is made. The kernel's white noise
    belongs to observations, not to the function, and is left out.

    Parameters
    ----------
    numbers : which draws, counted from 0
    """

    def __init__(self, drawing: Drawing, numbers: range) -> None:
        self.features, self.count = drawing.features, len(numbers)
        p, C = drawing.posterior, drawing.C
        self.posterior = p
        Z, N = p.X, len(p.X)
        columns = -(-self.count // TILE) * TILE
        width = sum(map(_width, p.kernel.functions))
        self.weights = np.zeros((width, columns))
        noise = np.zeros((N, columns))
        for column, number in enumerate(numbers):
            own = _generator(drawing.seed, number)
            self.weights[:, column] = own.standard_normal(width)
            noise[:, column] = own.standard_normal(N)
        # f(x) = prior(x) + k(x, Z) (α - Cᵀ [C prior(Z) + S^½ z]),  S = I - C K Cᵀ
        prior = np.vstack([self._prior(Z[i : i + FEATURE_ROWS]) for i in range(0, N, FEATURE_ROWS)])
        residual = C @ prior + drawing.noise(noise)
        self.coefficients = np.zeros((p.mean.size(Z.shape[1]), columns))
        if drawing.trend is not None:
            # The mean's coefficients are estimated anew from each draw's own data.
            found = drawing.trend.Q.T @ residual
            residual -= drawing.trend.Q @ found
            self.coefficients -= drawing.trend.T.T @ found
        self.coefficients += p.mean.coefficients[:, None]
        self.update = p.alpha[:, None] - C.T @ residual
        self.update[:, self.count :] = 0

    def at(self, X: FloatArray) -> FloatArray:
        """Return the values at X, shape (count, n)."""
        out = np.empty((self.count, len(X)))
        tile = np.zeros((TILE, X.shape[1]))
        for i in range(0, len(X), TILE):
            n = min(TILE, len(X) - i)
            tile[:n] = X[i : i + n]
            values = self._prior(tile)
            K = self.posterior.kernel.K(tile, self.posterior.X)
            H = self.posterior.mean.design(tile)
            for j in range(0, self.count, TILE):
                values[:, j : j + TILE] += K @ self._columns(self.update, j)
                values[:, j : j + TILE] += H @ self._columns(self.coefficients, j)
            out[:, i : i + n] = values[:n, : self.count].T
        return out

    def _prior(self, X: FloatArray) -> FloatArray:
        F = np.hstack([features.at(X) for features in self.features])
        blocks = [F @ self._columns(self.weights, j) for j in range(0, self.weights.shape[1], TILE)]
        return np.hstack(blocks)

    @staticmethod
    def _columns(A: FloatArray, j: int) -> FloatArray:
        return A[:, j : j + TILE]
