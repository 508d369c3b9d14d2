"""GPy models to compare with, and the error that a comparison must allow."""

from __future__ import annotations

from typing import Any

import GPy
import numpy as np

from service.model import FloatArray

KERNELS = ["RBF", "Matern32", "Matern52"]
EPSILON = float(np.finfo(np.float64).eps)


def data(n: int, d: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, d))
    y = np.sin(X.sum(axis=1, keepdims=True)) + 0.1 * rng.standard_normal((n, 1))
    return X, y


def kernel(name: str, d: int, *, ard: bool, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    lengthscale = rng.uniform(0.5, 2.0, d) if ard else 1.3
    return getattr(GPy.kern, name)(d, variance=1.7, lengthscale=lengthscale, ARD=ard)


def regression(
    n: int, d: int, k: Any, *, noise: float = 0.01, normalizer: bool = False, seed: int = 0
) -> Any:
    X, y = data(n, d, seed)
    return GPy.models.GPRegression(X, y, k, noise_var=noise, normalizer=normalizer)


def answers(m: Any, X: FloatArray, *, noise: bool = True) -> FloatArray:
    return np.hstack(m.predict(X, include_likelihood=noise))


def condition(m: Any) -> float:
    K = m.kern.K(np.array(m.X)) + float(m.likelihood.variance[0]) * np.eye(len(m.X))
    return float(np.linalg.cond(K))


def allowed(m: Any) -> float:
    """Relative error to allow: 1e-9, or what rounding alone does where K is ill-conditioned.

    Solving with K loses log10 of its condition number of 16 digits, in GPy as here.
    """
    return max(1e-9, 10 * EPSILON * condition(m))


def assert_equal_answers(found: FloatArray, wanted: FloatArray, prior: float, rtol: float) -> None:
    """Means to rtol of themselves or of the prior's deviation; variances to rtol of the prior."""
    mean_scale = np.maximum(np.abs(wanted[:, 0]), np.sqrt(prior))
    assert np.max(np.abs(found[:, 0] - wanted[:, 0]) / mean_scale) <= rtol
    assert np.max(np.abs(found[:, 1] - wanted[:, 1]) / prior) <= rtol
