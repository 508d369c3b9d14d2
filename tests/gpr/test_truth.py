"""The truth itself, beside numbers computed by hand and other ways to the same posterior."""

from __future__ import annotations

import math
from fractions import Fraction

import GPy
import numpy as np
import pytest
from flint import arb

from tests.gpr import exactkernels as exact
from tests.gpr import gpytruth, oracle, truth

AT = np.array([[0.4, -1.3], [1.9, 0.2]])


def one_point() -> truth.Exact:
    """A single observation, 2 at x = 1, of a function with variance 3 and lengthscale 0.5."""
    kernel = exact.RBF(3.0, 0.5, [0])
    return truth.Exact(kernel, np.array([[1.0]]), np.array([2.0]), 0.25, jitter=0.5)


def test_one_point_by_hand() -> None:
    k = 3 * math.exp(-2 * 0.4**2)
    mean, variance = one_point().answers(np.array([[1.4]]))[0]
    assert mean == pytest.approx(k * 2 / 3.75, rel=1e-15)
    assert variance == pytest.approx(3 - k**2 / 3.75, rel=1e-15)


def test_derivatives_by_hand() -> None:
    r, k = 0.4, 3 * math.exp(-2 * 0.4**2)
    slope, curve = -4 * r * k, (16 * r**2 - 4) * k
    gradient, hessian = (
        one_point().gradient(np.array([[1.4]])),
        one_point().hessian(np.array([[1.4]])),
    )
    assert gradient[0, :, 0] == pytest.approx([slope * 2 / 3.75, -2 * k * slope / 3.75], rel=1e-15)
    wanted = [curve * 2 / 3.75, -2 * (slope**2 + k * curve) / 3.75]
    assert hessian[0, :, 0, 0] == pytest.approx(wanted, rel=1e-15)


def test_a_line_in_rational_numbers() -> None:
    """A linear kernel is Bayesian regression on one slope: R&W 2.8 with a 1x1 matrix."""
    x, y, noise = [Fraction(1), Fraction(3)], [Fraction(2), Fraction(5)], Fraction(1, 4)
    A = sum(v * v for v in x) / noise + Fraction(1, 2)  # the slope's prior variance is 2
    slope = sum(a * b for a, b in zip(x, y, strict=True)) / noise / A
    found = truth.Exact(
        exact.Linear(2.0, [0]), np.array([[1.0], [3.0]]), np.array([2.0, 5.0]), 0.25
    )
    assert found.answers(np.array([[7.0]]))[0].tolist() == [float(7 * slope), float(49 / A)]


def test_units() -> None:
    """Raw units in, raw units out: the same posterior with numbers of another size."""
    units = truth.Units(
        input_offset=[16.0], input_scale=[4.0], output_offset=32.0, output_scale=8.0
    )
    kernel = exact.RBF(3.0, 0.5, [0])
    scaled = truth.Exact(
        kernel, np.array([[20.0]]), np.array([48.0]), 0.25, jitter=0.5, units=units
    )
    mean, variance = one_point().answers(np.array([[1.5]]))[0]
    X = np.array([[22.0]])
    assert scaled.answers(X)[0] == pytest.approx([32 + 8 * mean, 64 * variance], rel=1e-15)
    plain = one_point().gradient(np.array([[1.5]]))[0, :, 0]
    assert scaled.gradient(X)[0, :, 0] == pytest.approx([plain[0] * 2, plain[1] * 16], rel=1e-15)


def test_white_is_on_the_diagonal_only() -> None:
    kernel = exact.RBF(1.0, 1.0, [0]) + exact.White(0.5)
    X, y = np.array([[0.0], [0.0]]), np.array([1.0, 2.0])
    found = truth.Exact(kernel, X, y, 0.0)  # singular without White: both rows are one point
    S = found.joint(np.array([[0.0], [0.0]]))
    assert S[0, 0] - S[0, 1] == pytest.approx(0.5, rel=1e-15)
    assert found.answers(np.array([[0.0]]))[0, 0] == pytest.approx(3 / 2.5, rel=1e-15)


@pytest.mark.parametrize("basis", ["constant", "linear"])
def test_estimated_means_are_those_of_the_book(basis: str) -> None:
    """R&W 2.41 and 2.42."""
    X, Y = oracle.data(20, 2)
    kernel = oracle.kernel("RBF", 2, ard=True)
    found = truth.Exact(gpytruth.kernel(kernel), X, Y[:, 0], 0.1, mean=truth.Mean(basis))
    K, k = kernel.K(X) + 0.1 * np.eye(20), kernel.K(X, AT)
    H, h = (
        np.vstack([np.ones(len(rows)), *(rows.T if basis == "linear" else [])]) for rows in (X, AT)
    )
    B = H @ np.linalg.solve(K, H.T)
    beta = np.linalg.solve(B, H @ np.linalg.solve(K, Y[:, 0]))
    R = h - H @ np.linalg.solve(K, k)
    mean = k.T @ np.linalg.solve(K, Y[:, 0]) + R.T @ beta
    cov = kernel.K(AT) - k.T @ np.linalg.solve(K, k) + R.T @ np.linalg.solve(B, R)
    np.testing.assert_allclose(found.answers(AT)[:, 0], mean, rtol=1e-11)
    np.testing.assert_allclose(found.joint(AT), cov, rtol=1e-11, atol=1e-13)


def test_leave_one_out_is_that_of_the_book() -> None:
    """R&W 5.12."""
    X, Y = oracle.data(15, 2)
    kernel = oracle.kernel("Matern32", 2, ard=True)
    noise = np.linspace(0.1, 0.4, 15)
    W = np.linalg.inv(kernel.K(X) + np.diag(noise + 1e-3))
    mean, variance = Y[:, 0] - (W @ Y[:, 0]) / np.diag(W), 1 / np.diag(W) - 1e-3
    found = truth.Exact(gpytruth.kernel(kernel), X, Y[:, 0], noise, jitter=1e-3)
    np.testing.assert_allclose(found.leave_one_out(), np.column_stack([mean, variance]), rtol=1e-11)


def test_inducing_inputs_at_all_data_lose_nothing() -> None:
    X, Y = oracle.data(15, 2)
    kernel = exact.Matern52(1.3, [0.8, 1.1], [0, 1])
    sparse = truth.Sparse(kernel, X, X, Y[:, 0], 0.1, jitter=1e-40)
    full = truth.Exact(kernel, X, Y[:, 0], 0.1)
    np.testing.assert_allclose(sparse.answers(AT), full.answers(AT), rtol=1e-15)
    np.testing.assert_allclose(sparse.joint(AT), full.joint(AT), rtol=1e-15)


KERNELS = {
    "RBF": GPy.kern.RBF(2, 1.7, [0.6, 1.1], ARD=True),
    "Exponential": GPy.kern.Exponential(2, 1.7, 0.8),
    "Matern32 of one input": GPy.kern.Matern32(1, 1.7, 0.8, active_dims=[1]) + GPy.kern.Bias(2),
    "Matern52": GPy.kern.Matern52(2, 1.7, [0.6, 1.1], ARD=True),
    "RatQuad": GPy.kern.RatQuad(2, 1.7, [0.6, 1.1], power=0.7, ARD=True),
    "Linear": GPy.kern.Linear(2, [0.4, 0.7], ARD=True),
    "StdPeriodic": GPy.kern.StdPeriodic(2, 1.7, [1.5, 2.5], [0.8, 1.2], ARD1=True, ARD2=True),
    "Bias": GPy.kern.Bias(2, 0.9),
    "White": GPy.kern.White(2, 0.3),
    "product and sum": GPy.kern.RBF(2) * GPy.kern.Linear(1, active_dims=[0])
    + GPy.kern.Bias(2, 0.9),
}


@pytest.mark.parametrize("name", KERNELS)
def test_gpy_is_a_witness(name: str) -> None:
    m = oracle.regression(25, 2, KERNELS[name].copy(), noise=0.05, normalizer=True)
    found = gpytruth.posterior(m)
    wanted = oracle.answers(m, AT, noise=False)
    np.testing.assert_allclose(found.answers(AT), wanted, rtol=1e-11, atol=1e-11)


def test_gpy_is_a_witness_of_sparse_models_and_means() -> None:
    X, Y = oracle.data(60, 2)
    k = oracle.kernel("Matern32", 2, ard=True)
    sparse = GPy.models.SparseGPRegression(X, Y, k.copy(), Z=X[:12].copy(), normalizer=True)
    sparse.likelihood.variance[:] = 1e-12  # below GPy's least noise
    line = GPy.mappings.Additive(GPy.mappings.Linear(2, 1), GPy.mappings.Constant(2, 1, value=0.7))
    exact = GPy.models.GPRegression(X, Y, k.copy(), noise_var=0.1, mean_function=line)
    for m, tolerance in ((sparse, 1e-6), (exact, 1e-11)):
        wanted = oracle.answers(m, AT, noise=False)
        found = gpytruth.posterior(m).answers(AT)
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_what_400_bits_do_not_settle_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="400 bits"):
        exact.rounded(arb(1, 1e-3))
