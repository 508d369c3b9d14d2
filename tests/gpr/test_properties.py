"""What holds for every model and every point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.gpr import GPR, kernels
from service.gpr.means import Basis
from service.model import FloatArray
from tests.gpr import oracle

finite = st.floats(-1e308, 1e308, allow_nan=False)
sized = st.floats(1e-3, 1e3)


@st.composite
def models(draw: st.DrawFn) -> GPR:
    """A GP with any hyperparameters."""
    d, n = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    X = draw(arrays(np.float64, (n, d), elements=st.floats(-3, 3)))
    y = draw(arrays(np.float64, n, elements=st.floats(-3, 3)))
    name = draw(st.sampled_from(oracle.KERNELS))
    lengthscale = draw(arrays(np.float64, d, elements=sized))
    kernel = getattr(kernels, name)(d, draw(sized), lengthscale)
    noise = draw(st.floats(1e-6, 10))
    mean: Basis = draw(st.sampled_from(["none", "constant", "linear"]))
    return GPR.from_parts(X, y, kernel=kernel, noise_variance=noise, mean=mean, jitter=1e-9)


@given(models(), st.data())
@settings(max_examples=60)
def test_variance_order_and_company(model: GPR, data: st.DataObject) -> None:
    shape = st.tuples(st.integers(1, 20), st.just(model.input_dim))
    elements = finite | st.floats(-3, 3)
    X: FloatArray = data.draw(arrays(np.float64, shape, elements=elements))
    P = model.predict(X)
    assert np.isfinite(P).all()
    assert (P[:, 1] >= model.posterior.noise_variance).all()
    assert (model.predict(X, noise=False)[:, 1] > 0).all()
    order = data.draw(st.permutations(range(len(X))))
    assert np.array_equal(model.predict(X[order]), P[order])
    assert np.array_equal(model.predict(X[:1])[0], P[0])


@given(models(), st.data())
@settings(max_examples=40)
def test_variance_is_largest_far_away(model: GPR, data: st.DataObject) -> None:
    X = data.draw(arrays(np.float64, (5, model.input_dim), elements=st.floats(-5, 5)))
    far = np.full((1, model.input_dim), 1e9)
    limit = model.predict(far)[0, 1]
    assert (model.predict(X)[:, 1] <= limit * (1 + 1e-12)).all()


def test_shapes_that_are_refused() -> None:
    gpr = GPR.from_gpy(oracle.regression(37, 4, oracle.kernel("RBF", 4, ard=True)), list("abcd"))
    for X in (np.zeros(4), np.zeros((2, 3)), np.zeros((2, 2, 4))):
        with pytest.raises(ValueError, match="shape"):
            gpr.predict(X)
    assert gpr.predict(np.zeros((0, 4))).shape == (0, 2)
    assert gpr.gradient(np.zeros((0, 4))).shape == (0, 2, 4)
    with pytest.raises(ValueError, match="not trained"):
        GPR(4).predict(np.zeros((1, 4)))
