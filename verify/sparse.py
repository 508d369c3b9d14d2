"""Sparse models of noiseless functions, which GPy trains, beside the truth."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import GPy
import numpy as np

from service.gpr import GPR
from service.model import FloatArray
from tests.gpr import gpytruth
from verify.report import Section

ROWS = 400
ITERATIONS = 30
LIMIT = 1e-10
MEAN_LIMIT = 1e-6


def _branin(X: FloatArray) -> FloatArray:
    a, b = 15 * X[:, 0] - 5, 15 * X[:, 1]
    wave = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2
    value: FloatArray = wave + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    return value


def _bowl(X: FloatArray) -> FloatArray:
    value: FloatArray = np.sum(X**2, axis=1) + np.exp(X[:, 0])
    return value


def _ishigami(X: FloatArray) -> FloatArray:
    a, b, c = np.pi * (2 * X.T - 1)
    value: FloatArray = np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)
    return value


def _waves(X: FloatArray) -> FloatArray:
    value: FloatArray = np.sin(12 * X[:, 0]) + X[:, 0]
    return value


def _friedman(X: FloatArray) -> FloatArray:
    value: FloatArray = (
        10 * np.sin(np.pi * X[:, 0] * X[:, 1])
        + 20 * (X[:, 2] - 0.5) ** 2
        + 10 * X[:, 3]
        + 5 * X[:, 4]
    )
    return value


@dataclass(frozen=True)
class Case:
    """A function on the unit cube, a kernel by its name, and a number of inducing inputs."""

    function: Callable[[FloatArray], FloatArray]
    inputs: int
    kernel: str
    inducing: int

    @property
    def name(self) -> str:
        """The function's and the kernel's name."""
        return f"{self.function.__name__.strip('_')}, {self.inputs}-d, {self.kernel}"


CASES = [
    *(
        Case(function, d, kernel, inducing)
        for function, d in ((_branin, 2), (_bowl, 4))
        for kernel in ("RBF", "Matern52")
        for inducing in (50, 100, 200)
    ),
    *(
        Case(function, d, kernel, 60)
        for function, d in ((_waves, 1), (_ishigami, 3), (_friedman, 5), (_bowl, 8))
        for kernel in ("RBF", "Matern32", "RatQuad")
    ),
]


def train(case: Case) -> Any:
    """Return a GPy model with a noise below its floor; the likelihood drives it there, too."""
    rng = np.random.default_rng(case.inducing)
    X = rng.random((ROWS, case.inputs))
    y = case.function(X)[:, None]
    kernel = getattr(GPy.kern, case.kernel)(case.inputs, ARD=True)
    state = np.random.get_state()  # GPy draws from NumPy's global generator
    np.random.seed(0)
    try:
        m = GPy.models.SparseGPRegression(X, y, kernel, num_inducing=case.inducing, normalizer=True)
        m.likelihood.variance.fix(1e-10)
        m.optimize(max_iters=ITERATIONS)
    finally:
        np.random.set_state(state)
    return m


def check(name: str, m: Any, model: Any, section: Section) -> None:
    """Add a row: errors of the service and of GPy over the prior, at 20 points."""
    Q = np.random.default_rng(2).random((20, m.input_dim))
    wanted = gpytruth.posterior(m).answers(Q)
    prior = float(m.normalizer.std[0]) ** 2 * float(m.kern.Kdiag(Q[:1])[0])
    ours = np.abs(model.predict(Q, noise=False) - wanted).max(axis=0)
    theirs = np.abs(np.hstack(m.predict(Q, include_likelihood=False)) - wanted).max(axis=0)
    section.rows.append(
        [
            name,
            str(len(m.Z)),
            f"{wanted[:, 1].min() / prior:.0e}",
            section.check(f"{name}, {len(m.Z)}: variance", ours[1] / prior, LIMIT),
            f"{theirs[1] / prior:.1e}",
            section.check(f"{name}, {len(m.Z)}: mean", ours[0] / np.sqrt(prior), MEAN_LIMIT),
            f"{theirs[0] / np.sqrt(prior):.1e}",
        ]
    )


def sections() -> list[Section]:
    """Return the section of sparse models."""
    section = Section(
        "Sparse models of noiseless functions",
        f"{ROWS} points in the unit cube, trained by GPy in {ITERATIONS} iterations with a noise "
        "below its floor of 1e-8, and published with `GPR.from_gpy`. Errors of the variance are "
        "divided by the prior's variance, those of the mean by its deviation; the limits are "
        f"{LIMIT:.0e} and {MEAN_LIMIT:.0e}.",
        [
            "function, kernel",
            "inducing",
            "least variance left",
            "variance",
            "GPy's variance",
            "mean",
            "GPy's mean",
        ],
    )
    for case in CASES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            m = train(case)
        try:
            model = GPR.from_gpy(m, [f"x{i}" for i in range(case.inputs)])
        except ValueError as error:
            section.rows.append([case.name, str(case.inducing), "refused", "", "", "", ""])
            section.failures.append(f"{case.name}, {case.inducing} is refused: {error}")
            continue
        check(case.name, m, model, section)
    return [section]
