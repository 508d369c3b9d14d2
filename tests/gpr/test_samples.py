"""Draws of the posterior: functions of x, fixed by the seed, with the posterior's moments."""

from __future__ import annotations

import GPy
import numpy as np
import pytest

from service.gpr import GPR
from service.gpr.sampling import FREQUENCIES
from service.model import FloatArray
from tests.gpr import oracle

DRAWS = 800


def exact(name: str) -> GPR:
    k = oracle.kernel(name, 2, ard=True) + GPy.kern.Bias(2) + GPy.kern.White(2, variance=0.02)
    return GPR.from_gpy(oracle.regression(40, 2, k, noise=0.05, normalizer=True), ["a", "b"])


def sparse(name: str) -> GPR:
    X, y = oracle.data(300, 2)
    m = GPy.models.SparseGPRegression(X, y, oracle.kernel(name, 2, ard=True), Z=X[:30].copy())
    m.likelihood.variance[:] = 0.05
    return GPR.from_gpy(m, ["a", "b"])


def points() -> FloatArray:
    return oracle.data(25, 2, seed=3)[0] * 1.5


@pytest.mark.parametrize("make", [exact, sparse])
@pytest.mark.parametrize("name", oracle.KERNELS)
def test_moments(make: object, name: str) -> None:
    """Within five standard errors: of so many draws, and of so many random frequencies."""
    model, X = make(name), points()  # type: ignore[operator]
    S = model.samples(X, DRAWS, seed=11)
    assert S.shape == (DRAWS, len(X))
    p = model.posterior
    white = p.output_scale**2 * p.kernel.white
    prior = p.output_scale**2 * p.kernel.diagonal
    mean, variance = model.predict(X, noise=False).T
    deviation = np.sqrt(np.maximum(variance - white, 0))
    assert np.all(np.abs(S.mean(axis=0) - mean) <= 5 * deviation / np.sqrt(DRAWS) + 1e-6)
    wanted = model.covariance(X, noise=False) - white * np.eye(len(X))
    statistical = 5 * np.outer(deviation, deviation) * np.sqrt(2 / DRAWS)
    features = 5 * prior / np.sqrt(2 * FREQUENCIES)
    assert np.all(np.abs(np.cov(S.T) - wanted) <= statistical + features)


def test_draws_pass_through_exact_data() -> None:
    m = oracle.regression(20, 2, oracle.kernel("RBF", 2, ard=False), noise=1e-6)
    model, X = GPR.from_gpy(m, ["a", "b"]), np.array(m.X)
    S = model.samples(X, 5, seed=1)
    assert np.max(np.abs(S - np.array(m.Y)[:, 0])) < 0.02


def test_the_same_however_cut() -> None:
    model, X = exact("Matern52"), points()
    whole = model.samples(X, 3, seed=5)
    for cut in (1, 4, 8, 13):
        parts = [model.samples(X[:cut], 3, seed=5), model.samples(X[cut:], 3, seed=5)]
        assert np.array_equal(np.hstack(parts), whole)
    again = exact("Matern52")
    assert np.array_equal(again.samples(X[::-1], 3, seed=5)[:, ::-1], whole)


def test_seeds_and_counts() -> None:
    model, X = exact("RBF"), points()
    few = model.samples(X, 2, seed=5)
    np.testing.assert_allclose(model.samples(X, 20, seed=5)[:2], few, rtol=1e-9, atol=1e-9)
    assert not np.allclose(model.samples(X, 2, seed=6), few)
    assert not np.allclose(few[0], few[1])
    for seed in range(10):
        model.samples(X[:1], 1, seed)
    assert len(model._recent) <= 4
