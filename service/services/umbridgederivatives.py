"""Products of the derivatives of (mean, variance) with vectors, for n points at once.

The points do not act on each other, so J and H of all n together are block diagonal.
"""

from __future__ import annotations

import numpy as np

from service.model import FloatArray, Model

Columns = tuple[int, ...]


def gradient(model: Model, X: FloatArray, columns: Columns, sens: FloatArray) -> FloatArray:
    """Jᵀ·sens, shape (n, d), for sens of shape (n, k) and the k columns of (mean, variance)."""
    J = model.gradient(X)[:, columns]
    return np.asarray(np.einsum("nkd,nk->nd", J, sens))


def jacobian(model: Model, X: FloatArray, columns: Columns, vec: FloatArray) -> FloatArray:
    """J·vec, shape (n, k), for vec of shape (n, d)."""
    J = model.gradient(X)[:, columns]
    return np.asarray(np.einsum("nkd,nd->nk", J, vec))


def hessian(
    model: Model, X: FloatArray, columns: Columns, sens: FloatArray, vec: FloatArray
) -> FloatArray:
    """(Σₖ sensₖ Hₖ)·vec, shape (n, d): the Hessian of the functional that sens makes."""
    H = model.hessian(X)[:, columns]
    return np.asarray(np.einsum("nkij,nk,nj->ni", H, sens, vec))
