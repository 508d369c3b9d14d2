"""First and second derivatives of a GP's mean and variance with respect to its inputs.

With ``v = C k(x)`` and, for an estimated mean, ``t = T h(x) - Qᵀ v`` (see `Trend`), they are those
of ``h(x)ᵀβ + k(x)ᵀα`` and of ``k(x, x) - ‖v‖² + ‖t‖²``.
"""

from __future__ import annotations

import numpy as np

from service.gpr.means import Trend
from service.gpr.posterior import Posterior
from service.gpr.predictor import Triangle
from service.model import FloatArray

POINTS_AT_ONCE = 16
"""Points whose derivatives are computed at once: each takes D² numbers per training input."""


def gradient(p: Posterior, triangle: Triangle, trend: Trend | None, U: FloatArray) -> FloatArray:
    """Return the derivatives of mean and latent variance at U, shape (n, 2, D), in raw units.

    U is in the model's units; `triangle` includes the output's scale s.
    """
    s, D = p.output_scale, U.shape[1]
    out = np.empty((len(U), 2, D))
    for i in range(0, len(U), POINTS_AT_ONCE):
        u, part = U[i : i + POINTS_AT_ONCE], out[i : i + POINTS_AT_ONCE]
        weights, t = _weights(p, triangle, trend, u)
        np.einsum("nqm,nmi->nqi", weights, p.kernel.dK(u, p.X), out=part)
        part[:, 0] += s * (p.mean.coefficients @ p.mean.slopes(D))
        part[:, 1] += s**2 * p.kernel.ddiagonal(u)
        if trend is not None:
            part[:, 1] += 2 * s * np.vecmat(t, trend.T @ p.mean.slopes(D))
        part /= p.input_scale
    return out


def hessian(p: Posterior, triangle: Triangle, trend: Trend | None, U: FloatArray) -> FloatArray:
    """Return the second derivatives of the same, shape (n, 2, D, D)."""
    n, D = U.shape
    s = p.output_scale
    out = np.empty((n, 2, D, D))
    for i in range(0, n, POINTS_AT_ONCE):
        u, part = U[i : i + POINTS_AT_ONCE], out[i : i + POINTS_AT_ONCE]
        weights, _ = _weights(p, triangle, trend, u)
        np.einsum("nqm,nmij->nqij", weights, p.kernel.d2K(u, p.X), out=part)
        part[:, 1] += s**2 * p.kernel.d2diagonal(u)
        rows = np.ascontiguousarray(p.kernel.dK(u, p.X).transpose(0, 2, 1)).reshape(len(u) * D, -1)
        V = triangle.factor_product(rows)
        part[:, 1] -= 2 * _products(V.reshape(len(u), D, -1))
        if trend is not None:
            H = np.tile(p.mean.slopes(D).T, (len(u), 1))
            part[:, 1] += 2 * _products(trend.rows(H, V, s).reshape(len(u), D, -1))
        part /= p.input_scale[:, None] * p.input_scale
    return out


def _products(V: FloatArray) -> FloatArray:
    products: FloatArray = np.einsum("nim,njm->nij", V, V)
    return products


def _weights(
    p: Posterior, triangle: Triangle, trend: Trend | None, u: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the factors of dk and t, shapes (n, 2, N) and (n, r).

    They are s α for the mean and ``-2 s² Cᵀ(v + Q t)`` for the variance.
    """
    v = triangle.factor_product(p.kernel.K(u, p.X))
    t = np.zeros((len(u), 0))
    if trend is not None:
        t = trend.rows(p.mean.design(u), v, p.output_scale)
        v = v + np.vecmat(t, trend.Q.T)
    w = triangle.transposed_product(v)
    return np.stack([np.broadcast_to(p.output_scale * p.alpha, w.shape), -2 * w], axis=1), t
