"""Where nothing is compiled, a point has the same bits in any array of up to 255 points."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from service.gpr import GPR, native, tiles, triangle
from service.gpr.posterior import Posterior
from service.model import FloatArray
from tests.gpr import oracle


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)


@cache
def trained(n: int, name: str, d: int) -> Posterior:
    m = oracle.regression(n, d, oracle.kernel(name, d, ard=True))
    return GPR.from_gpy(m, [f"a{i}" for i in range(d)]).posterior


def model(n: int, name: str = "RBF", d: int = 4) -> GPR:
    return GPR.from_posterior(trained(n, name, d))


def points(n: int, d: int = 4) -> FloatArray:
    return oracle.data(n, d, seed=7)[0]


CASES = [(1, "RBF"), (37, "Matern32"), (97, "Matern52"), (500, "RBF"), (1100, "RBF")]


@pytest.mark.parametrize(("n", "name"), CASES)
def test_alone_or_in_company(n: int, name: str) -> None:
    gpr, X = model(n, name), points(40)
    alone = np.vstack([gpr.predict(X[i : i + 1]) for i in range(len(X))])
    assert np.array_equal(gpr.predict(X), alone)
    rng = np.random.default_rng(n)
    for _ in range(10):
        chosen = rng.permutation(len(X))[: rng.integers(1, 30)]
        assert np.array_equal(gpr.predict(X[chosen]), alone[chosen])


@pytest.mark.parametrize(("n", "name"), CASES)
def test_however_large_arrays_are_cut(n: int, name: str) -> None:
    gpr = model(n, name)
    tile = tiles.LARGE_TILE
    X = points(3 * tile + 21)
    whole = gpr.predict(X)
    for cut in (tile, 2 * tile):
        parts = np.vstack([gpr.predict(X[:cut]), gpr.predict(X[cut:])])
        assert np.array_equal(parts, whole)


def test_the_model_says_so() -> None:
    assert model(37).arithmetic == "NumPy"


def test_the_two_ways_agree() -> None:
    gpr, X = model(500), points(256)
    small = np.vstack([gpr.predict(X[i : i + 1]) for i in range(len(X))])
    large = gpr.predict(X)
    scale = np.maximum(np.abs(large), np.sqrt(large[:, 1:]))
    assert np.max(np.abs(small - large) / scale) < 1e-12


def test_without_a_triangular_product(monkeypatch: pytest.MonkeyPatch) -> None:
    with_trmm, X = model(500), points(512)
    assert triangle.find_trmm() is not None, "NumPy's wheels have one"
    monkeypatch.setattr(triangle, "find_trmm", lambda: None)
    without = model(500)
    np.testing.assert_allclose(without.predict(X), with_trmm.predict(X), rtol=1e-11)
    assert np.array_equal(without.predict(X[:256]), without.predict(X)[:256])


def test_both_small_ways_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, X = model(97), points(20)
    monkeypatch.setattr(tiles, "MAX_ROW_BY_ROW", 10)
    np.testing.assert_allclose(model(97).predict(X), rows.predict(X), rtol=1e-11)
