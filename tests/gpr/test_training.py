"""Training: what GPy models are taken over, and fits of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import GPy
import numpy as np
import pytest

from service.__main__ import BUNDLED_DATA, BUNDLED_MODEL
from service.gpr import GPR, trainingdata
from service.gpr.conditioning import created_now
from service.gpr.training import fit
from service.gpr.trainingdata import TrainingOptions
from service.jobs.trainingrows import training_data
from service.services.trainingtables import table_of_csv
from tests.gpr import oracle

UNSERVED: dict[str, Callable[[], Any]] = {
    "ExpQuadCosine": lambda: GPy.kern.ExpQuadCosine(2),
    "MLP": lambda: GPy.kern.RBF(2) + GPy.kern.MLP(2),
    "Poly": lambda: GPy.kern.RBF(2) * GPy.kern.Poly(2),
}


@pytest.mark.parametrize("name", UNSERVED)
def test_other_kernels_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"unsupported kernel .*{name}"):
        GPR.from_gpy(oracle.regression(10, 2, UNSERVED[name]()), ["a", "b"])


def test_other_models_are_refused_with_the_reason() -> None:
    X, y = oracle.data(20, 2)
    k = GPy.kern.RBF(2)
    mean = GPy.mappings.MLP(2, 1)
    laplace = GPy.inference.latent_function_inference.Laplace()
    unserved = {
        "unsupported mean function .*MLP.*Additive": GPy.models.GPRegression(
            X, y, k.copy(), mean_function=mean
        ),
        "more than one output": GPy.models.GPRegression(X, np.hstack([y, y]), k.copy()),
        "not Gaussian": GPy.core.GP(
            X, y, k.copy(), GPy.likelihoods.StudentT(), inference_method=laplace
        ),
        "a GPy GPClassification cannot": GPy.models.GPClassification(X, (y > 0) * 1.0, k.copy()),
    }
    for reason, m in unserved.items():
        with pytest.raises(ValueError, match=reason):
            GPR.from_gpy(m, ["a", "b"])


def test_models_that_are_no_regression_are_refused_by_what_they_are() -> None:
    X, y = oracle.data(20, 2)
    unserved = {
        "GPy WarpedGP": GPy.models.WarpedGP(X, y),
        "GPy InputWarpedGP": GPy.models.InputWarpedGP(X, y),
        "GPy SVGP": GPy.core.SVGP(X, y, X[:5], GPy.kern.RBF(2), GPy.likelihoods.Gaussian()),
        "builtins object": object(),
    }
    for kind, m in unserved.items():
        with pytest.raises(ValueError, match=f"a {kind} cannot be taken over.*from_parts"):
            GPR.from_gpy(m, ["a", "b"])


def test_what_was_standardised_by_hand_is_asked_in_raw_units() -> None:
    X, y = oracle.data(40, 2)
    offset, scale = np.array([1e6, -3.0]), np.array([100.0, 0.1])
    m = GPy.models.GPRegression(X, y, GPy.kern.RBF(2), noise_var=0.01, normalizer=True)
    model = GPR.from_gpy(
        m, ["a", "b"], name="wind/peak", input_offset=offset, input_scale=scale,
        output_offset=5.0, output_scale=2.0,
    )  # fmt: skip
    U = oracle.data(10, 2, seed=3)[0]
    mean, variance = m.predict(U)
    found = model.predict(U * scale + offset)
    np.testing.assert_allclose(found[:, 0], 5 + 2 * mean[:, 0], rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], 4 * variance[:, 0], rtol=1e-9)
    assert model.description.name == "wind/peak"
    np.testing.assert_allclose(model.description.training_range[0, 1], 1e6 + 100 * X[:, 0].max())


def test_fit_through_the_model() -> None:
    X, y = oracle.data(40, 2)
    model = GPR(2, "Matern52 + White", output_name="z")
    assert not model.trained
    model.fit(X, y[:, 0])
    assert model.trained
    assert model.description.feature_names == ("x1", "x2")
    assert model.description.kernel == "Matern52 + White"
    mean, variance = model.predict(X).T
    assert np.sqrt(np.mean((mean - y[:, 0]) ** 2)) < 0.15
    assert np.all(variance > 0)
    assert GPR(2, GPy.kern.Matern32(2)).fit(X, y[:, 0]).description.kernel == "Matern32"
    with pytest.raises(ValueError, match="unknown kernel 'Cubic'"):
        GPR(2, "RBF + Cubic").fit(X, y[:, 0])


def test_training_is_repeatable_and_leaves_the_generator_alone() -> None:
    X, y = oracle.data(60, 2)
    np.random.seed(5)
    wanted = np.random.rand()
    np.random.seed(5)
    one = GPR.from_posterior(fit(X, y[:, 0], TrainingOptions(restarts=3)))
    assert np.random.rand() == wanted
    two = GPR.from_posterior(fit(X, y[:, 0], TrainingOptions(restarts=3)))
    assert np.array_equal(one.predict(X), two.predict(X))


def test_many_rows_need_inducing_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (5001, 2))
    y = np.sin(X.sum(axis=1)) + 0.1 * rng.standard_normal(5001)
    with pytest.raises(ValueError, match="--inducing"):
        fit(X, y)
    monkeypatch.setattr(trainingdata, "EXACT_ROWS", 1000)  # more would take seconds
    X, y = X[:1001], y[:1001]
    with pytest.raises(ValueError, match="--inducing"):
        fit(X, y)
    model = GPR.from_posterior(fit(X, y, TrainingOptions(inducing=20, restarts=1)))
    p = model.posterior
    assert (len(p.X), p.training_points, len(model.samples(X[:4], 2, 0))) == (20, 1001, 2)
    assert np.sqrt(np.mean((model.predict(X)[:, 0] - np.sin(X.sum(axis=1))) ** 2)) < 0.1


def test_constant_input() -> None:
    X, y = oracle.data(30, 2)
    X[:, 1] = 3
    with pytest.raises(ValueError, match="input 'x2' is constant"):
        fit(X, y[:, 0])


def test_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert created_now() == "1970-01-01T00:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert created_now().endswith("+00:00")


def test_bundled_model_is_of_the_bundled_data() -> None:
    table, options = table_of_csv(BUNDLED_DATA.read_bytes()), TrainingOptions(target="mag")
    model, data = GPR.load(BUNDLED_MODEL), training_data(table, options)
    assert model.posterior.data_sha256 == data.sha256
    assert model.description.feature_names == data.feature_names
    error = model.predict(data.X)[:, 0] - data.y
    assert np.sqrt(np.mean(error**2)) < 0.5 * np.std(data.y)
    assert 0.88 < model.description.scores["coverage_95"] < 0.99
