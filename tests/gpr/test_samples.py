"""Draws of the posterior, fixed by the seed: exact ones, and functions of x."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import GPy
import numpy as np
import pytest

from service.gpr import GPR, kernels, sampling
from service.gpr.kernels import Kernel
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


@pytest.mark.parametrize("pathwise", [False, True])
@pytest.mark.parametrize("make", [exact, sparse])
@pytest.mark.parametrize("name", oracle.KERNELS)
def test_moments(make: Callable[[str], GPR], name: str, pathwise: bool) -> None:
    """Within five standard errors of so many draws, and of so many random frequencies."""
    model, X = make(name), points()
    S = model.samples(X, DRAWS, seed=11, pathwise=pathwise)
    assert S.shape == (DRAWS, len(X))
    p = model.posterior
    white = p.output_scale**2 * p.kernel.white
    prior = p.output_scale**2 * float(p.kernel.diagonal(X)[0])
    mean, variance = model.predict(X, noise=False).T
    deviation = np.sqrt(np.maximum(variance - white, 0))
    assert np.all(np.abs(S.mean(axis=0) - mean) <= 5 * deviation / np.sqrt(DRAWS) + 1e-6)
    wanted = model.covariance(X, noise=False) - white * np.eye(len(X))
    statistical = 5 * np.outer(deviation, deviation) * np.sqrt(2 / DRAWS)
    features = 5 * prior / np.sqrt(2 * FREQUENCIES) if pathwise else 1e-12 * prior
    assert np.all(np.abs(np.cov(S.T) - wanted) <= statistical + features)


DENSE = {
    "Matern32": (1, 300, 1e-3),
    "Matern52": (2, 100, 1e-4),
    "RBF": (2, 60, 1e-10),
}


@pytest.mark.parametrize("name", DENSE)
def test_the_spread_is_right_where_data_are_dense(name: str) -> None:
    """Where the posterior has little of the prior's variance, which features miss many times."""
    d, n, noise = DENSE[name]
    m = oracle.regression(n, d, oracle.kernel(name, d, ard=False), noise=noise)
    model, X = GPR.from_gpy(m, list("ab")[:d]), 0.7 * oracle.data(40, d, seed=3)[0]
    variance = np.diag(model.covariance(X, noise=False))
    ratio = model.samples(X, 3000, seed=1).var(axis=0) / variance
    assert np.all(np.abs(ratio - 1) <= 5 * np.sqrt(2 / 3000))


PRIORS: dict[str, Callable[[], Kernel]] = {
    "RBF": lambda: kernels.RBF(2, 1.5, [0.7, 2.0]),
    "Exponential": lambda: kernels.Exponential(2, 1.5, 0.8),
    "RatQuad": lambda: kernels.RatQuad(2, 1.5, 0.8, power=1.3),
    "Linear": lambda: kernels.Linear(2, [0.5, 2.0]),
    "StdPeriodic": lambda: kernels.StdPeriodic(2, 1.5, period=[2.0, 3.0], lengthscale=0.6),
    "product": lambda: kernels.RBF(2) * kernels.StdPeriodic(2) * kernels.Linear(2, [1.0, 0.1]),
    "sum": lambda: kernels.Matern52(2) * kernels.Bias(2, 0.5) + kernels.Bias(2, 2.0),
}


@pytest.mark.parametrize("name", PRIORS)
def test_features_of_every_kernel(name: str) -> None:
    """Far more noise than signal leaves the prior, whose covariance the features must have."""
    X = oracle.data(12, 2, seed=3)[0]
    kernel = PRIORS[name]()
    model = GPR.from_parts(X[:2], [0.0, 0.0], kernel=kernel, noise_variance=1e9)
    S = model.samples(X, 4000, seed=2, pathwise=True)
    wanted = kernel.K(X, X)
    assert np.max(np.abs(S.T @ S / len(S) - wanted)) <= 0.12 * np.max(np.diag(wanted))


def test_an_estimated_mean_is_drawn_too() -> None:
    """Far from the data its uncertainty is most of the variance."""
    X, y = oracle.data(15, 1)
    kernel = kernels.RBF(1, 0.3, 0.5)
    model = GPR.from_parts(X, y, kernel=kernel, noise_variance=0.01, mean="linear")
    U = np.array([[-8.0], [0.1], [5.0]])
    for pathwise in (False, True):
        S = model.samples(U, 3000, seed=4, pathwise=pathwise)
        ratio = S.var(axis=0) / model.predict(U, noise=False)[:, 1]
        assert np.all(np.abs(ratio - 1) < 0.15)


def test_draws_pass_through_exact_data() -> None:
    m = oracle.regression(20, 2, oracle.kernel("RBF", 2, ard=False), noise=1e-6)
    model, X = GPR.from_gpy(m, ["a", "b"]), np.array(m.X)
    S = model.samples(X, 5, seed=1, pathwise=True)
    assert np.max(np.abs(S - np.array(m.Y)[:, 0])) < 0.02


def test_the_same_however_cut() -> None:
    model, X = exact("Matern52"), points()
    whole = model.samples(X, 3, seed=5, pathwise=True)
    for cut in (1, 4, 8, 13):
        parts = [model.samples(part, 3, seed=5, pathwise=True) for part in (X[:cut], X[cut:])]
        assert np.array_equal(np.hstack(parts), whole)
    again = exact("Matern52")
    assert np.array_equal(again.samples(X[::-1], 3, seed=5, pathwise=True)[:, ::-1], whole)


@pytest.mark.parametrize("make", [exact, sparse])
def test_draws_in_blocks_are_those_that_are_made_at_once(
    make: Callable[[str], GPR], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, X = make("Matern52"), points()
    whole = model.samples(X, 21, seed=5, pathwise=True)
    monkeypatch.setattr(sampling, "BLOCK_NUMBERS", 8 * model.draw_size)
    blocks = make("Matern52").samples(X, 21, seed=5, pathwise=True)
    np.testing.assert_allclose(blocks, whole, rtol=1e-9, atol=1e-9)
    cut = [model.samples(part, 21, seed=5, pathwise=True) for part in (X[:9], X[9:])]
    assert np.array_equal(np.hstack(cut), blocks)


def test_memory_does_not_grow_with_the_number_of_draws() -> None:
    """One point's: each takes 4096 numbers and more, beside the one that is asked for."""
    model = exact("RBF")
    count = 2 * sampling.BLOCK_NUMBERS // model.draw_size
    tracemalloc.start()
    try:
        model.samples(points()[:1], count, seed=1, pathwise=True)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.25 * 8 * sampling.BLOCK_NUMBERS
    assert kept < 1e6


@pytest.mark.parametrize("name", PRIORS)
def test_the_numbers_of_a_draw_are_known_before_it_is_made(name: str) -> None:
    X = oracle.data(12, 2, seed=3)[0]
    model = GPR.from_parts(X, X[:, 0], kernel=PRIORS[name](), noise_variance=0.1)
    draws = sampling.PathwiseDraws(sampling.Drawing(model.posterior, 1), range(8))
    assert draws.weights.size == 8 * (model.draw_size - 3 * len(X))


@pytest.mark.parametrize("pathwise", [False, True])
def test_seeds_and_counts(pathwise: bool) -> None:
    model, X = exact("RBF"), points()
    few = model.samples(X, 2, seed=5, pathwise=pathwise)
    np.testing.assert_allclose(
        model.samples(X, 20, seed=5, pathwise=pathwise)[:2], few, rtol=1e-9, atol=1e-9
    )
    fewer = model.samples(X[:2], 2, seed=5, pathwise=pathwise)
    np.testing.assert_allclose(fewer, few[:, :2], rtol=1e-7, atol=1e-7)
    assert not np.allclose(model.samples(X, 2, seed=6, pathwise=pathwise), few)
    assert not np.allclose(few[0], few[1])
    for seed in range(10):
        model.samples(X[:1], 1, seed, pathwise=pathwise)
    assert len(model._recent) <= 2
