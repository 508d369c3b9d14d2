"""Leave-one-out equals a refit without the row, and the scores are those of the literature."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.gpr import GPR
from service.gpr.conditioning import Stated, condition
from service.gpr.kernels import RBF, Bias, Linear, Matern32, Matern52, White
from service.gpr.validation import relevance, scores
from service.model import Unsupported
from service.services.diagnostics import written
from tests.helpers.serving import ROOT

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (25, 2))
Y = 5 + np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(25)
NOISES = RNG.uniform(0.01, 0.2, 25)

MODELS: dict[str, dict[str, Any]] = {
    "ARD": {"kernel": RBF(2, 1.3, [0.7, 2.0]), "noise_variance": 0.02},
    "a sum, in other units": {
        "kernel": Matern52(2, 2.0, 1.5) + Bias(2, 0.5) + White(2, 0.01),
        "noise_variance": 0.01,
        "input_offset": [1.0, -1.0],
        "input_scale": [2.0, 0.5],
        "output_offset": 5.0,
        "output_scale": 3.0,
        "jitter": 1e-8,
    },
    "known noise": {"kernel": Matern32(2, 1.5, 1.0), "noise_variance": NOISES, "mean": 5.0},
    "universal kriging": {
        "kernel": RBF(2, 1.0, 0.8),
        "noise_variance": 0.01,
        "mean": "linear",
    },
    "a product, with a constant": {
        "kernel": RBF(2, 1.0, 1.0) * Linear(2, [0.5, 1.0]) + Linear(2, 0.1),
        "noise_variance": 0.05,
        "mean": "constant",
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_leave_one_out_equals_a_refit_without_the_row(name: str) -> None:
    stated = MODELS[name]
    found = GPR.from_parts(X, Y, **stated).diagnostics()
    assert found.rows.tolist() == list(range(25))
    np.testing.assert_allclose(found.X, X, atol=1e-11)
    np.testing.assert_allclose(found.observed, Y, atol=1e-11)
    for i in range(25):
        rest = np.arange(25) != i
        noise = np.broadcast_to(stated["noise_variance"], 25)
        per_row = np.ndim(stated["noise_variance"]) > 0
        others = stated | ({"noise_variance": noise[rest]} if per_row else {})
        refit = GPR.from_parts(X[rest], Y[rest], **others).predict(X[i : i + 1])[0]
        refit[1] += noise[i] if per_row else 0
        np.testing.assert_allclose(found.answers[i], refit, rtol=1e-9)


def test_a_row_that_determines_a_coefficient_is_left_out_of_the_scores() -> None:
    only = np.column_stack([X[:, 0], np.arange(25) == 7]).astype(float)
    model = GPR.from_parts(only, Y, kernel=RBF(2), noise_variance=0.1, mean="linear")
    assert model.diagnostics().rows.tolist() == [i for i in range(25) if i != 7]
    assert model.description.scores["leave_one_out"]["rows"] == 24


def test_the_bundled_model(gpr: GPR) -> None:
    """Values of an independent computation; see the issue."""
    found = gpr.description.scores["leave_one_out"]
    assert found["rows"] == 800
    assert found["q2"] == pytest.approx(0.787, abs=5e-4)
    assert found["rmse"] == pytest.approx(0.1854, abs=5e-5)
    assert found["predictive_variance_adequacy"] == pytest.approx(0.001, abs=5e-4)
    coverage = [found[f"coverage_{n}"] for n in (50, 80, 90, 95, 99)]
    assert coverage == pytest.approx([0.494, 0.8, 0.908, 0.951, 0.988], abs=6e-4)
    assert gpr.description.scores["verdict"][0].startswith("Good:")


def test_outputs_that_a_file_does_not_have_are_those_of_the_data(gpr: GPR) -> None:
    table = np.loadtxt(ROOT / "data" / "quakes.csv", delimiter=",", skiprows=1)
    rows = {tuple(row) for row in table.tolist()}
    found = gpr.diagnostics()
    assert {(*x, y) for x, y in zip(found.X.tolist(), found.observed.tolist(), strict=True)} <= rows


def test_scores() -> None:
    answers = np.array([[0.0, 1.0], [2.0, 4.0]])
    found = scores(np.array([1.0, -2.0]), answers)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 16) / 2))
    assert found["q2"] == pytest.approx(1 - 17 / 4.5)
    assert found["predictive_variance_adequacy"] == pytest.approx(np.log(2.5))
    assert found["largest_residual"] == 2
    density = -0.5 * (2 * np.log(2 * np.pi) + np.log(4) + 1 + 4) / 2
    assert found["log_predictive_density"] == pytest.approx(density)
    assert [found[f"coverage_{n}"] for n in (50, 80, 95, 99)] == [0, 0.5, 0.5, 1]
    assert "q2" not in scores(np.ones(2), answers)


def test_a_sparse_gp_is_judged_by_its_held_out_rows(gpr: GPR) -> None:
    p = GPR.from_parts(X, Y, kernel=RBF(2), noise_variance=0.1, inducing_inputs=X[:8]).posterior
    with pytest.raises(Unsupported, match="held-out rows"):
        GPR.from_posterior(p).diagnostics()
    held_out = np.column_stack([Y[:5], GPR.from_posterior(p).predict(X[:5])])
    model = GPR.from_posterior(replace(p, held_out=held_out))
    found = model.diagnostics()
    assert (found.method, found.X.shape) == ("held_out", (5, 0))
    np.testing.assert_array_equal(found.observed, Y[:5])
    assert model.description.scores["held_out_rows"] == 5
    assert model.description.scores["rmse"] == model.description.scores["held_out"]["rmse"]


def test_categories_are_words() -> None:
    codes = np.column_stack([X[:, 0], np.arange(25) % 3]).astype(float)
    stated = Stated(
        kernel=RBF(4, 1.0, [0.5, 1.0, 1.0, 4.0]),
        noise_variance=0.1,
        input_offset=np.zeros(4),
        input_scale=np.ones(4),
    )
    words = ("red", "green", "blue")
    model = GPR.from_posterior(condition(codes, Y, stated, ["x", "sort"], categories={1: words}))
    found = model.diagnostics()
    np.testing.assert_allclose(found.X, codes, atol=1e-11)
    np.testing.assert_allclose(found.relevance, [np.ptp(X[:, 0]) / 0.5, 1.0])
    lines = written(found, model.description, "text/csv").decode().splitlines()
    assert [line.rpartition(",")[2] for line in lines[:5]] == ["sort", *words, "red"]


def test_relevance() -> None:
    """A single kernel: range over lengthscale. A sum: by variance. A linear term: its slope."""
    reach = np.ptp(X, axis=0)
    one = GPR.from_parts(X, Y, kernel=RBF(2, 3.0, [0.5, 4.0]), noise_variance=0.1).posterior
    np.testing.assert_allclose(relevance(one), reach / [0.5, 4.0])
    kernel = RBF(2, 3.0, 0.5, active_dims=[0]) + RBF(2, 1.0, 0.1, active_dims=[1])
    two = GPR.from_parts(X, Y, kernel=kernel, noise_variance=0.1).posterior
    np.testing.assert_allclose(relevance(two), reach * np.sqrt([0.75 / 0.25, 0.25 / 0.01]))
    line = GPR.from_parts(X, Y, kernel=Linear(2, [4.0, 0.0001]), noise_variance=0.1).posterior
    left, right = relevance(line)
    assert left > 100 * right
