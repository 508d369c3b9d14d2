"""What holds however mean and variance are computed: compiled, and by NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.gpr import GPR, native
from service.gpr.kernels import RBF, Linear
from service.model import FloatArray


@pytest.fixture(params=["compiled", "NumPy"], autouse=True)
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in both ways."""
    if request.param == "NumPy":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("nothing is compiled: run make kernel, with a C compiler")


def model(n: int) -> GPR:
    X = np.random.default_rng(n).uniform(-2, 2, (n, 3))
    kernel = RBF(3) * Linear(3, [0.1, 0.2, 0.3]) + RBF(3, 2.0, 3.0)
    return GPR.from_parts(X, np.sin(X.sum(axis=1)), kernel=kernel, noise_variance=0.01)


def points(n: int) -> FloatArray:
    return np.random.default_rng(7).uniform(-3, 3, (n, 3))


def test_from_many_threads() -> None:
    gpr, X = model(97), points(600)
    wanted, alone = gpr.predict(X), gpr.predict(X[:5])
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(gpr.predict, X if i % 2 else X[:5]) for i in range(40)]
        for i, future in enumerate(futures):
            assert np.array_equal(future.result(), wanted if i % 2 else alone)


@pytest.mark.parametrize("n", [70, 1100])
def test_whatever_was_computed_before(n: int) -> None:
    gpr, X = model(n), points(3)
    first = gpr.predict(X)
    gpr.predict(np.full((8, 3), np.nan))
    gpr.predict(np.full((8, 3), 1e300))
    assert np.array_equal(gpr.predict(X), first)


@pytest.mark.parametrize("n", [70, 1100])
def test_a_nan_stays_in_its_row(n: int) -> None:
    gpr, X = model(n), points(300)
    X[5, 2] = X[270, 0] = np.nan
    bad = np.isnan(gpr.predict(X)).all(axis=1)
    assert np.flatnonzero(bad).tolist() == [5, 270]
