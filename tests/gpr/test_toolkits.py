"""scikit-learn's regressors, published: their own answers, and refusals that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    CompoundKernel,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Matern,
    PairwiseKernel,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from service.gpr import GPR
from service.model import FloatArray

N = 40
NOISE = WhiteKernel(0.02)


def data(d: int = 2) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(3)
    X = rng.uniform(-2, 2, (N, d))
    return X, 3 * np.sin(X.sum(axis=1)) + 5 + 0.1 * rng.standard_normal(N)


def gpr(kernel: Any, alpha: Any = 1e-10, *, normalize_y: bool = True) -> Any:
    return GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None, normalize_y=normalize_y)


def check(model: Any, X: FloatArray, published: GPR | None = None) -> None:
    """Mean and variance within a relative 1e-9 of scikit-learn's."""
    inside = 0.9 * X[::3] + 0.1
    mean, deviation = model.predict(inside, return_std=True)
    found = (published or GPR.from_sklearn(model)).predict(inside)
    np.testing.assert_allclose(found, np.column_stack([mean, deviation**2]), rtol=1e-9)


KERNELS = {
    "RBF": 2.0 * RBF([0.7, 1.2]) + NOISE,
    "Matern 1/2": ConstantKernel(3) * Matern(1.2, nu=0.5) + NOISE,
    "Matern 3/2": ConstantKernel(3) * Matern([1.2, 0.8], nu=1.5) + NOISE,
    "Matern 5/2": ConstantKernel(3) * Matern(1.2, nu=2.5) + NOISE + ConstantKernel(2),
    "Matern of infinite nu": Matern(1.2, nu=np.inf) + NOISE,
    "RationalQuadratic": 2 * RationalQuadratic(0.8, 1.7) + NOISE,
    "DotProduct": DotProduct(1.3) + NOISE,
    "squared": DotProduct(1.3) ** 2 + NOISE,
    "brackets": (RBF(1.0) + 0.3) * (Matern(2.0, nu=1.5) + DotProduct(0.2)) + 2 * NOISE,
    "noise inside a power": (RBF(1.0) + NOISE) ** 2,
}


@pytest.mark.parametrize("name", KERNELS)
def test_equals_scikit_learn(name: str) -> None:
    X, y = data()
    check(gpr(KERNELS[name]).fit(X, y), X)
    check(gpr(KERNELS[name], np.linspace(0.001, 0.1, N), normalize_y=False).fit(X, y), X)


def test_periodic() -> None:
    X, y = data(1)
    check(gpr(2 * ExpSineSquared(0.8, 1.7) + 0.5 * RBF(2.0) + NOISE).fit(X, y), X)


def test_no_kernel_is_scikit_learns_default() -> None:
    X, y = data()
    check(GaussianProcessRegressor(alpha=0.01).fit(X, y), X)


def test_pipelines() -> None:
    X, y = data()
    X = X * [3, 1e4] + [1e3, -2e5]
    kernel = 2.0 * RBF([0.7, 1.2]) + NOISE
    check(make_pipeline(StandardScaler(), gpr(kernel)).fit(X, y), X)
    scalers = MinMaxScaler((-1, 2)), StandardScaler(with_mean=False), RobustScaler()
    check(make_pipeline(*scalers, MaxAbsScaler(), "passthrough", gpr(kernel)).fit(X, y), X)
    check(make_pipeline(StandardScaler(with_std=False), gpr(1e3 * RBF(1e3) + NOISE)).fit(X, y), X)


def test_transformed_targets() -> None:
    """scikit-learn itself has no deviation of a transformed target."""
    X, y = data()
    inner = make_pipeline(StandardScaler(), gpr(2.0 * RBF(0.7) + NOISE))
    model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, 1e3 * y)
    mean, deviation = model.regressor_.predict(X, return_std=True)
    scale, offset = model.transformer_.scale_[0], model.transformer_.mean_[0]
    wanted = np.column_stack([offset + scale * mean, (scale * deviation) ** 2])
    np.testing.assert_allclose(GPR.from_sklearn(model).predict(X), wanted, rtol=1e-9)


def test_searches_and_names() -> None:
    X, y = data()
    frame = pd.DataFrame(X, columns=["lat", "long"])
    search = GridSearchCV(gpr(RBF(1.0) + NOISE), {"normalize_y": [True, False]}, cv=2)
    search.fit(frame, y)
    assert GPR.from_sklearn(search.best_estimator_).feature_names == ("lat", "long")
    published = GPR.from_sklearn(search, ["a", "b"], output_name="height")
    assert (published.feature_names, published.output_name) == (("a", "b"), "height")
    assert GPR.from_sklearn(gpr(RBF() + NOISE).fit(X, y)).feature_names == ("x1", "x2")


def test_white_noise_is_noise_and_alpha_is_not() -> None:
    X, y = data()
    p = GPR.from_sklearn(gpr(RBF() + NOISE, alpha=0.5).fit(X, y)).posterior
    assert (p.noise_variance, p.kernel.name) == (0.02, "RBF")
    np.testing.assert_allclose(p.nugget, 0.52)


def fitted(kernel: Any) -> Any:
    return gpr(kernel, alpha=0.1).fit(*data())


def two_outputs() -> Any:
    X, y = data()
    return gpr(RBF() + NOISE).fit(X, np.column_stack([y, y**2]))


def of_words() -> Any:
    """A kernel that compares words would be a class of the user's; scikit-learn has none."""
    model = fitted(RBF())
    model.X_train_ = np.array([["a", "b"]] * N)
    return model


REFUSED = {
    "not fitted.*Call fit": lambda: gpr(RBF()),
    "has 2 outputs.*one model per output": two_outputs,
    "nu is 2 .*0.5, 1.5, 2.5 or inf": lambda: fitted(Matern(nu=2)),
    "its kernel has PairwiseKernel.*Fit again with": lambda: fitted(PairwiseKernel()),
    "the exponent of .* is 0.5.*integer": lambda: fitted(RBF() ** 0.5),
    "White .* Linear.*added, not multiplied": lambda: fitted(RBF() + DotProduct() * NOISE),
    "noise only.*Add a kernel": lambda: fitted(NOISE),
    "128 terms .*more than 64.*smaller exponent": lambda: fitted(DotProduct() ** 7),
    "LinearRegression is not a Gaussian.*from_parts": lambda: LinearRegression().fit(*data()),
    "test_toolkits.Mine is not": lambda: Mine(),
    "PolynomialFeatures does more.*StandardScaler": lambda: make_pipeline(
        PolynomialFeatures(), gpr(RBF() + NOISE)
    ).fit(*data()),
    "MinMaxScaler clips.*clip=False": lambda: make_pipeline(
        MinMaxScaler(clip=True), gpr(RBF() + NOISE)
    ).fit(*data()),
    "FunctionTransformer does more": lambda: TransformedTargetRegressor(
        gpr(RBF() + NOISE), func=np.log, inverse_func=np.exp
    ).fit(*data()),
    "GridSearchCV is not fitted": lambda: GridSearchCV(gpr(RBF()), {}),
    "not a table of numbers": of_words,
}


class Mine:
    pass


@pytest.mark.parametrize("message", REFUSED)
def test_refused_by_name_with_the_way_out(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPR.from_sklearn(REFUSED[message]())


def test_compound_kernels_are_refused() -> None:
    """They are for classifiers: scikit-learn cannot fit a regression with one."""
    model = fitted(RBF())
    model.kernel_ = CompoundKernel([RBF(), RBF()])
    with pytest.raises(ValueError, match="its kernel has CompoundKernel"):
        GPR.from_sklearn(model)
