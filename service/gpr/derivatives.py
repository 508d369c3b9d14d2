"""First and second derivatives of a GP's mean and variance with respect to its inputs."""

from __future__ import annotations

import numpy as np

from service.gpr.posterior import Posterior
from service.gpr.triangle import BlockTriangle
from service.model import FloatArray

POINTS_AT_ONCE = 16
"""Points whose derivatives are computed at once: each takes d² numbers per training input."""


def gradient(p: Posterior, triangle: BlockTriangle, U: FloatArray) -> FloatArray:
    """Return the derivatives of kᵀα and -‖C k‖² at U, shape (n, 2, d), in raw units.

    U is in the model's units; `triangle` includes the output's scale. The derivative of the second
    is -2 (CᵀC k)ᵀ dk.
    """
    out = np.empty((len(U), 2, U.shape[1]))
    for i in range(0, len(U), POINTS_AT_ONCE):
        u = U[i : i + POINTS_AT_ONCE]
        dK = p.kernel.dK(u, p.X) / p.input_scale
        np.einsum("nqm,nmi->nqi", _weights(p, triangle, u), dK, out=out[i : i + POINTS_AT_ONCE])
    return out


def hessian(p: Posterior, triangle: BlockTriangle, U: FloatArray) -> FloatArray:
    """Return the second derivatives of the same, shape (n, 2, d, d)."""
    n, d = U.shape
    out = np.empty((n, 2, d, d))
    for i in range(0, n, POINTS_AT_ONCE):
        u, part = U[i : i + POINTS_AT_ONCE], out[i : i + POINTS_AT_ONCE]
        d2K = p.kernel.d2K(u, p.X) / (p.input_scale[:, None] * p.input_scale)
        np.einsum("nqm,nmij->nqij", _weights(p, triangle, u), d2K, out=part)
        dK = p.kernel.dK(u, p.X) / p.input_scale
        rows = np.ascontiguousarray(dK.transpose(0, 2, 1)).reshape(len(u) * d, -1)
        V = triangle.factor_product(rows).reshape(len(u), d, -1)
        part[:, 1] -= 2 * np.einsum("nim,njm->nij", V, V)
    return out


def _weights(p: Posterior, triangle: BlockTriangle, u: FloatArray) -> FloatArray:
    """Return the factors of dk: α for the mean, -2 CᵀC k for the variance, shape (n, 2, N)."""
    w = triangle.transposed_product(triangle.factor_product(p.kernel.K(u, p.X)))
    return np.stack([np.broadcast_to(p.output_scale * p.alpha, w.shape), -2 * w], axis=1)
