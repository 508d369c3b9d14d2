"""Training: what GPy models are taken over, and fits of our own, of tables as people have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import GPy
import numpy as np
import pytest

from service.commands.models import BUNDLED_DATA
from service.commands.options import BUNDLED_MODEL
from service.gpr import GPR, optimising, trainingdata
from service.gpr.calibration import calibrated, rescaled
from service.gpr.conditioning import created_now
from service.gpr.training import fit
from service.gpr.trainingdata import TrainingDataError, TrainingOptions
from service.jobs.trainingrows import training_data
from service.model import FloatArray
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


def test_a_constant_input_has_no_effect() -> None:
    X, y = oracle.data(30, 2)
    X[:, 1] = 0.3
    X[::2, 1] = 0.1 + 0.2
    model = GPR.from_posterior(fit(X, y[:, 0], TrainingOptions(mean="linear")))
    elsewhere = X.copy()
    elsewhere[:, 1] = 7
    kernel_only = GPR.from_posterior(fit(X, y[:, 0]))
    assert np.array_equal(kernel_only.predict(X), kernel_only.predict(elsewhere))
    np.testing.assert_allclose(model.predict(X)[:, 0], model.predict(elsewhere)[:, 0], rtol=1e-12)


def test_every_kernel_and_mean_is_trained_by_name() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (60, 2))
    y = np.sin(4 * X[:, 0]) + 0.5 * X[:, 1] + 0.05 * rng.standard_normal(60)
    options = [
        TrainingOptions(kernel=f"{name} + White", restarts=1)
        for name in ("Exponential", "RatQuad", "Linear", "StdPeriodic + Linear")
    ]
    options += [
        TrainingOptions(kernel="RBF * (Linear + Bias)", restarts=1),
        TrainingOptions(mean="constant", restarts=1),
        TrainingOptions(mean="linear", restarts=1),
    ]
    for each in options:
        model = GPR.from_posterior(fit(X, y, each))
        error = np.sqrt(np.mean((model.predict(X)[:, 0] - y) ** 2))
        limit = 0.9 if each.kernel.startswith("Linear") else 0.15
        assert error < limit * np.std(y), each
        assert model.posterior.mean.basis == each.mean


def test_a_kernel_that_cannot_be_read_or_served_is_refused_before_the_fit() -> None:
    X, y = oracle.data(20, 2)
    wrong = {
        "RBF +": "cannot be read",
        "RBF - White": "no sum of products",
        "Cubic": "unknown kernel 'Cubic'",
        "__import__('os')": "no sum of products",
        "Linear * White": "White",
        " + ".join(["RBF"] * 11): "the kernel has 11 functions, more than 10",
        "+".join("1" * 11): "the kernel has 11 functions, more than 10",
        "+".join("1" * 1500): "the kernel has 2999 characters, more than 500",
        "(" * 499: "cannot be read",
        "-" * 499 + "1": "no sum of products",
        "RBF" + "()" * 240: "no sum of products",
        "9" * 500: "no sum of products",
    }
    for text, reason in wrong.items():
        with pytest.raises(TrainingDataError, match=re.escape(reason)):
            fit(X, y[:, 0], TrainingOptions(kernel=text))


def test_noise_is_estimated_fixed_or_absent() -> None:
    X, y = oracle.data(60, 2)
    exact = np.sin(X.sum(axis=1))
    share = 0.1**2 / np.var(y)
    found = fit(X, y[:, 0], TrainingOptions(restarts=1))
    assert 0.3 < found.noise_variance / share < 3
    stated = fit(X, y[:, 0], TrainingOptions(noise="0.02"))
    assert stated.output_scale**2 * stated.noise_variance == pytest.approx(0.02 * np.var(y))
    simulator = GPR.from_posterior(fit(X, exact, TrainingOptions(noise="none")))
    answers = simulator.predict(X)
    np.testing.assert_allclose(answers[:, 0], exact, atol=1e-4)
    assert np.all(answers[:, 1] < 1e-7)
    for text in ("much", "-1", "0", "2", "nan"):
        with pytest.raises(TrainingDataError, match="noise must be auto, none") as caught:
            fit(X, exact, TrainingOptions(noise=text))
        assert caught.value.where == {"option": "noise"}


def test_what_no_model_fits_is_refused_before_the_fit() -> None:
    X, y = oracle.data(30, 2)
    X[3] = X[4]
    cases = {
        "same inputs": (y[:, 0], TrainingOptions(noise="none")),
        "hold fewer rows out, as held_out=0.1 (--held-out 0.1)": (np.ones(30), TrainingOptions()),
        "use another unit": (1e-200 * y[:, 0], TrainingOptions()),
        "use noise=auto (--noise auto), or leave out `inducing` (--inducing)": (
            y[:, 0],
            TrainingOptions(noise="none", inducing=5),
        ),
        "leave out mean=linear (--mean linear) or `inducing` (--inducing)": (
            y[:, 0],
            TrainingOptions(mean="linear", inducing=5),
        ),
    }
    for reason, (outputs, options) in cases.items():
        with pytest.raises(TrainingDataError, match=re.escape(reason)):
            fit(X, outputs, options)


def _tables() -> dict[str, tuple[FloatArray, FloatArray]]:
    rng = np.random.default_rng(0)
    U = rng.random((40, 3))
    y = np.sin(5 * U[:, 0]) + U[:, 1] ** 2 + 0.05 * rng.standard_normal(40)
    outliers = y.copy()
    outliers[::15] += 20
    return {
        "collinear": (np.column_stack([U, 2 * U[:, 0] + 1, U[:, 0] + U[:, 1]]), y),
        "integers": (np.floor(4 * U), y),
        "one-hot": (np.column_stack([U, np.eye(3)[rng.integers(0, 3, 40)]]), y),
        "every row three times": (np.tile(U[:14], (3, 1)), np.tile(y[:14], 3)),
        "nearly equal rows": (np.vstack([U, U + 1e-13]), np.concatenate([y, y])),
        "outliers": (U, outliers),
        "small outputs": (U, 1e-12 * y),
        "large outputs": (U, 1e12 * y),
        "small changes of a large output": (U, 1e8 + 1e-3 * y),
        "Unix time": (np.column_stack([1.7e9 + 3600 * np.arange(40), U[:, 0]]), y),
        "ten rows": (U[:10], y[:10]),
        "more inputs than rows": (rng.random((12, 20)), y[:12]),
        "linear without noise": (U, U @ [1.0, 2.0, 3.0]),
    }


@pytest.mark.parametrize("name", _tables())
def test_tables_as_people_have_them_can_be_trained(name: str) -> None:
    X, y = _tables()[name]
    answers = GPR.from_posterior(fit(X, y, TrainingOptions(restarts=2))).predict(X)
    assert np.isfinite(answers).all()
    assert np.all(answers[:, 1] > 0)
    assert np.sqrt(np.mean((answers[:, 0] - y) ** 2)) < np.std(y)


@pytest.mark.parametrize("name", ["every row three times", "collinear", "linear without noise"])
def test_sparse_models_of_such_tables_can_be_trained(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimising, "SPARSE_ITERATIONS", 20)  # 200 take seconds
    X, y = _tables()[name]
    options = TrainingOptions(restarts=1, inducing=8)
    answers = GPR.from_posterior(fit(X, y, options)).predict(X)
    assert np.sqrt(np.mean((answers[:, 0] - y) ** 2)) < np.std(y)


def test_the_variance_of_a_simulator_is_calibrated() -> None:
    """The likelihood alone gives intervals that contain 9 % here (or far too wide ones)."""
    rng = np.random.default_rng(0)
    X = rng.random((200, 4))
    new = rng.random((500, 4))

    def simulate(U: FloatArray) -> FloatArray:
        value: FloatArray = np.sum(U**2, axis=1) + np.exp(U[:, 0])
        return value

    model = GPR.from_posterior(fit(X, simulate(X), TrainingOptions(restarts=1)))
    mean, variance = model.predict(new).T
    error = simulate(new) - mean
    assert np.sqrt(np.mean(error**2)) < 1e-3
    assert np.mean(np.abs(error) < 1.96 * np.sqrt(variance)) > 0.9
    assert np.median(np.sqrt(variance)) < 10 * np.sqrt(np.mean(error**2))


def test_calibration_changes_no_mean() -> None:
    X, _ = oracle.data(25, 2)
    m = oracle.regression(25, 2, GPy.kern.RBF(2, ARD=True))
    before = GPR.from_gpy(m, ["a", "b"])
    after = GPR.from_posterior(calibrated(before.posterior, hyperparameters=4))
    np.testing.assert_allclose(after.predict(X)[:, 0], before.predict(X)[:, 0], rtol=1e-12)
    ratio = after.predict(X)[:, 1] / before.predict(X)[:, 1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_calibration_finds_variances_that_are_too_small() -> None:
    p = GPR.from_gpy(oracle.regression(200, 2, GPy.kern.RBF(2)), ["a", "b"]).posterior
    right = calibrated(p, hyperparameters=3).output_scale ** 2
    wrong = rescaled(p, 0.01)
    assert calibrated(wrong, hyperparameters=3).output_scale ** 2 == pytest.approx(right, rel=0.06)


def test_starts_reach_the_best_of_several_maxima() -> None:
    """A fast wave without noise looks like noise to one start at long lengthscales."""
    x = np.linspace(0, 1, 40)[:, None]
    y = np.sin(60 * x[:, 0])
    p = fit(x, y, TrainingOptions(restarts=4))
    assert p.noise_variance < 0.01


def test_known_noise_of_each_row_is_used() -> None:
    X, _ = oracle.data(60, 2)
    noise = np.full(60, 0.01)
    noise[::2] = 100.0
    rng = np.random.default_rng(1)
    outputs = np.sin(X.sum(axis=1)) + np.sqrt(noise) * rng.standard_normal(60)
    model = GPR.from_posterior(fit(X, outputs, TrainingOptions(restarts=2), row_noise=noise))
    error = model.predict(X)[:, 0] - np.sin(X.sum(axis=1))
    assert np.sqrt(np.mean(error**2)) < 0.3
    unaware = GPR.from_posterior(fit(X, outputs, TrainingOptions(restarts=2)))
    assert np.mean((unaware.predict(X)[:, 0] - np.sin(X.sum(axis=1))) ** 2) > np.mean(error**2)
    with pytest.raises(TrainingDataError, match="sparse GP cannot have known noise"):
        fit(X, outputs, TrainingOptions(inducing=5), row_noise=noise)


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
