"""GPy models to compare with, and the error that a comparison must allow."""

from __future__ import annotations

from typing import Any

import GPy
import numpy as np

from service.gpr import GPR
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


def assert_equal_answers(
    model: GPR, m: Any, X: FloatArray, *, noise: bool, of_prior: float = 1e-12
) -> None:
    """A relative 1e-9, of a mean near zero 1e-9 of the prior's deviation.

    A mean is a sum of k times α. Where K is nearly singular, α is huge and the terms cancel; GPy's
    own rounding and ours are then of the order of the machine's precision times the sum of their
    sizes, and as much is allowed; test_truth.py asks which of them is nearer to the truth. A
    variance is a difference from the prior's: `of_prior` of that is allowed, which exceeds the
    relative 1e-9 only where less than a thousandth of the prior variance is left.
    """
    wanted, found = answers(m, X, noise=noise), model.predict(X, noise=noise)
    scale = float(m.normalizer.std[0]) if m.normalizer else 1.0
    prior = scale**2 * float(m.kern.Kdiag(X[:1])[0])
    inputs = np.array(m.Z if hasattr(m, "Z") else m.X)
    terms = scale * np.abs(m.kern.K(X, inputs)) @ np.abs(m.posterior.woodbury_vector)[:, 0]
    mean_error, variance_error = np.abs(found - wanted).T
    mean_allowed = 1e-9 * np.maximum(np.abs(wanted[:, 0]), np.sqrt(prior))
    assert np.all(mean_error <= np.maximum(mean_allowed, 200 * EPSILON * terms))
    floor = 1e-15 * scale**2
    assert np.all(found[:, 1] >= floor)
    assert np.all(variance_error <= np.maximum(1e-9 * np.abs(wanted[:, 1]), of_prior * prior))
