"""Gradients and Hessians beside finite differences and GPy's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from service.gpr import GPR
from service.gpr.training import fit
from service.gpr.trainingdata import TrainingOptions
from service.model import FloatArray
from tests.gpr import oracle
from tests.gpr.test_gpy_equality import SUMS

KERNELS: dict[str, Callable[[], Any]] = {
    **{f"{name} ARD": partial(oracle.kernel, name, 3, ard=True) for name in oracle.KERNELS},
    **{name: partial(oracle.kernel, name, 3, ard=False) for name in oracle.KERNELS},
    **SUMS,
}


def central(f: Callable[[FloatArray], FloatArray], X: FloatArray, h: float = 1e-5) -> FloatArray:
    """Derivatives by each input, as the last axis."""
    steps = h * np.eye(X.shape[1])
    return np.stack([(f(X + step) - f(X - step)) / (2 * h) for step in steps], axis=-1)


@pytest.mark.parametrize("what", KERNELS)
def test_gradient(what: str) -> None:
    m = oracle.regression(50, 3, KERNELS[what](), noise=0.05)
    model, X = GPR.from_gpy(m, list("abc")), oracle.data(40, 3, seed=4)[0]
    X[0] = np.array(m.X)[0]
    gradient = model.gradient(X)
    mean, variance = m.predictive_gradients(X)
    np.testing.assert_allclose(gradient[:, 0], mean[:, :, 0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(gradient[:, 1], variance, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(gradient, central(model.predict, X), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("what", KERNELS)
def test_hessian(what: str) -> None:
    m = oracle.regression(50, 3, KERNELS[what](), noise=0.05)
    model, X = GPR.from_gpy(m, list("abc")), oracle.data(40, 3, seed=4)[0]
    hessian = model.hessian(X)
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, 2, 3), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hessian, central(model.gradient, X), rtol=1e-5, atol=1e-6)


def test_hessian_at_a_training_input() -> None:
    """Matérn 3/2 has one there too: its third derivative jumps, so differences are coarser."""
    m = oracle.regression(50, 3, oracle.kernel("Matern32", 3, ard=True), noise=0.05)
    model, X = GPR.from_gpy(m, list("abc")), np.array(m.X)[:3]
    wanted = central(model.gradient, X, h=1e-6)
    np.testing.assert_allclose(model.hessian(X), wanted, rtol=1e-3, atol=1e-3)


def test_in_raw_units() -> None:
    X, y = oracle.data(60, 3)
    X = X * [100.0, 1.0, 0.01] + [1000.0, 0.0, 5.0]
    options = TrainingOptions(kernel="Matern52", restarts=1)
    model = GPR.from_posterior(fit(X, 50 * y[:, 0] + 7, options, list("abc")))
    U = (X[:10] + X[10:20]) / 2
    scale = np.array([100.0, 1.0, 0.01])
    wanted = np.stack(
        [
            (model.predict(U + step) - model.predict(U - step)) / (2 * step.sum())
            for step in 1e-5 * np.diag(scale)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(model.gradient(U) * scale, wanted * scale, rtol=1e-5, atol=1e-5)
    far = np.full((1, 3), 1e308)
    assert np.isfinite(model.hessian(far)).all()
