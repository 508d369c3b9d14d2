"""Predictions beside GPy's own over a grid of kernels, sizes, dimensions and noises."""

from __future__ import annotations

from typing import Any

import GPy
import numpy as np
import pytest

from service.gpr import GPR
from service.model import FloatArray
from tests.gpr import oracle

WELL_CONDITIONED = 1e7


def names(d: int) -> list[str]:
    return [f"a{i}" for i in range(d)]


def points(d: int) -> FloatArray:
    """Far more than a large tile, within and around the training inputs."""
    return 1.3 * oracle.data(300, d, seed=5)[0]


def check(m: Any, of_prior: float = 1e-12) -> None:
    model = GPR.from_gpy(m, names(m.input_dim))
    X = points(m.input_dim)
    for noise in (True, False):
        oracle.assert_equal_answers(model, m, X, noise=noise, of_prior=of_prior)


@pytest.mark.parametrize("noise", [1e-4, 0.01, 10.0])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (50, 4), (200, 10), (300, 2)])
@pytest.mark.parametrize("ard", [False, True])
@pytest.mark.parametrize("name", oracle.KERNELS)
def test_equals_gpy(name: str, ard: bool, n: int, d: int, noise: float) -> None:
    m = oracle.regression(n, d, oracle.kernel(name, d, ard=ard), noise=noise)
    if n == 50:
        assert oracle.condition(m) < WELL_CONDITIONED, "this part of the grid allows 1e-9 only"
    check(m)


@pytest.mark.parametrize("name", ["Matern32"])
def test_equals_gpy_at_2000(name: str) -> None:
    check(oracle.regression(2000, 4, oracle.kernel(name, 4, ard=True), normalizer=True))


@pytest.mark.parametrize("name", oracle.KERNELS)
@pytest.mark.parametrize("noise", [1e-12, 1e-8])
def test_tiny_noise(name: str, noise: float) -> None:
    """The kernel matrix is close to singular: both round huge terms, GPy also in its distances."""
    check(oracle.regression(200, 1, oracle.kernel(name, 1, ard=False), noise=noise), 1e-9)


@pytest.mark.parametrize("normalizer", [False, True])
def test_repeated_rows(normalizer: bool) -> None:
    X, y = oracle.data(60, 3)
    X, y = np.vstack([X, X, X[:5]]), np.vstack([y, y + 0.1, y[:5]])
    k = oracle.kernel("RBF", 3, ard=True)
    check(GPy.models.GPRegression(X, y, k, noise_var=0.01, normalizer=normalizer))


SUMS = {
    "with Bias": lambda: GPy.kern.RBF(3, ARD=True) + GPy.kern.Bias(3, variance=2.0),
    "with White": lambda: GPy.kern.Matern32(3) + GPy.kern.White(3, variance=0.3),
    "of three": lambda: GPy.kern.Matern52(3) + GPy.kern.Bias(3) + GPy.kern.White(3, variance=0.1),
    "nested": lambda: GPy.kern.Add([GPy.kern.RBF(3) + GPy.kern.Bias(3), GPy.kern.Matern32(3)]),
    "on parts of the inputs": lambda: (
        GPy.kern.RBF(2, active_dims=[0, 2], ARD=True, lengthscale=[0.7, 2.0])
        + GPy.kern.Matern52(1, active_dims=[1])
    ),
    "of RBFs": lambda: GPy.kern.RBF(3, lengthscale=0.5) + GPy.kern.RBF(3, lengthscale=3.0),
    "on inputs in another order": lambda: (
        GPy.kern.RBF(2, active_dims=[2, 0], ARD=True, lengthscale=[0.7, 2.0]) + GPy.kern.Bias(3)
    ),
    "Bias and White only": lambda: GPy.kern.Bias(3) + GPy.kern.White(3, variance=0.1),
}


@pytest.mark.parametrize("normalizer", [False, True])
@pytest.mark.parametrize("what", SUMS)
def test_sums(what: str, normalizer: bool) -> None:
    check(oracle.regression(80, 3, SUMS[what](), normalizer=normalizer))


@pytest.mark.parametrize("normalizer", [False, True])
@pytest.mark.parametrize("name", oracle.KERNELS)
def test_sparse(name: str, normalizer: bool) -> None:
    X, y = oracle.data(400, 3)
    m = GPy.models.SparseGPRegression(
        X, y, oracle.kernel(name, 3, ard=True), Z=X[:40].copy(), normalizer=normalizer
    )
    model = GPR.from_gpy(m, names(3))
    assert model.description.training_points == 400
    assert model.description.hyperparameters["inducing_inputs"] == 40
    for noise in (True, False):
        oracle.assert_equal_answers(model, m, points(3), noise=noise)


def test_covariance_equals_gpy() -> None:
    m = oracle.regression(80, 3, SUMS["of three"](), normalizer=True)
    model, X = GPR.from_gpy(m, names(3)), points(3)[:30]
    for noise in (True, False):
        wanted = m.predict(X, full_cov=True, include_likelihood=noise)[1]
        np.testing.assert_allclose(model.covariance(X, noise=noise), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("far", [1e6, 1e200, 1.7e308])
def test_far_away_it_is_the_prior(far: float) -> None:
    m = oracle.regression(30, 2, oracle.kernel("RBF", 2, ard=True) + GPy.kern.Bias(2))
    mean, variance = GPR.from_gpy(m, names(2)).predict(np.array([[far, -far], [-far, far]])).T
    bias = np.full((len(m.X), 1), float(m.kern.parts[1].variance[0]))
    np.testing.assert_allclose(mean, (bias.T @ m.posterior.woodbury_vector).item(), rtol=1e-9)
    prior = float(np.sum(m.kern.Kdiag(np.zeros((1, 2)))) + m.likelihood.variance[0])
    wanted = prior - (bias.T @ m.posterior.woodbury_inv @ bias).item()
    np.testing.assert_allclose(variance, wanted, rtol=1e-9)
