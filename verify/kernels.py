"""Kernels, mean functions and their derivatives, beside the truth and GPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import GPy
import numpy as np

from service.gpr import GPR, kernels
from service.gpr.means import Basis
from service.model import FloatArray
from tests.gpr import exactkernels as exact
from tests.gpr import gpytruth, truth
from verify.comparison import LEFT, errors, relative
from verify.report import Section

N, D = 60, 2
CONDITION = 1e7
LIMIT = 1e-9
DERIVATIVES_LIMIT = 1e-8

KERNELS: dict[str, Callable[[], Any]] = {
    "RBF": lambda: GPy.kern.RBF(D, 1.7, [0.9, 1.4], ARD=True),
    "Exponential": lambda: GPy.kern.Exponential(D, 1.7, [0.9, 1.4], ARD=True),
    "Matern32": lambda: GPy.kern.Matern32(D, 1.7, [0.9, 1.4], ARD=True),
    "Matern52": lambda: GPy.kern.Matern52(D, 1.7, [0.9, 1.4], ARD=True),
    "RatQuad": lambda: GPy.kern.RatQuad(D, 1.7, [0.9, 1.4], power=0.8, ARD=True),
    "Linear": lambda: GPy.kern.Linear(D, [0.4, 0.7], ARD=True),
    "StdPeriodic": lambda: GPy.kern.StdPeriodic(
        D, 1.7, [2.5, 3.5], [0.8, 1.2], ARD1=True, ARD2=True
    ),
    "Bias": lambda: GPy.kern.Bias(D, 0.9),
    "White": lambda: GPy.kern.White(D, 0.3),
    "RBF * Linear + White": lambda: (
        GPy.kern.RBF(D, 1.1, 0.8) * GPy.kern.Linear(D) + GPy.kern.White(D, 1e-5)
    ),
    "(RBF + Bias) * StdPeriodic": lambda: (
        (GPy.kern.RBF(D, 1.1, 1.8) + GPy.kern.Bias(D, 0.5)) * GPy.kern.StdPeriodic(D, 1.0, 3.0)
    ),
    "Matern52 * Exponential + RatQuad": lambda: (
        GPy.kern.Matern52(D) * GPy.kern.Exponential(D, 1.0, 5.0) + GPy.kern.RatQuad(D, 0.5, 2.0)
    ),
    "RBF (1st) * Matern32 (2nd) + Linear + Bias": lambda: (
        GPy.kern.RBF(1, active_dims=[0]) * GPy.kern.Matern32(1, active_dims=[1])
        + GPy.kern.Linear(D)
        + GPy.kern.Bias(D)
    ),
    "StdPeriodic (1st) * RBF + Matern52": lambda: (
        GPy.kern.StdPeriodic(1, 1.3, 1.7, 0.9, active_dims=[0]) * GPy.kern.RBF(D, 1.0, 2.0)
        + GPy.kern.Matern52(D, 0.4)
    ),
}

MEANS: dict[str, Callable[[], Any]] = {
    "RBF, known constant": lambda: GPy.mappings.Constant(D, 1, value=-1.3),
    "RBF, known line": lambda: GPy.mappings.Additive(
        _line([0.7, -0.4]), GPy.mappings.Constant(D, 1, value=0.5)
    ),
}


@dataclass(frozen=True)
class Case:
    """A model, its truth, and the answers of a witness, if there is one."""

    name: str
    model: Any
    truth: truth.Posterior
    witness: Callable[[FloatArray], FloatArray] | None
    condition: float


def data(seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return X, shape (N, D), and y, shape (N,)."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (N, D))
    return X, np.sin(X.sum(axis=1)) + 0.1 * rng.standard_normal(N)


def points() -> FloatArray:
    """Return points among and around the data, shape (20, D)."""
    return np.random.default_rng(1).uniform(-2.5, 2.5, (20, D))


def cases() -> Iterator[Case]:
    """Yield every kernel and mean, with a noise that gives a condition number near 1e7."""
    for name, kernel in KERNELS.items():
        yield _of_gpy(name, kernel(), None)
    for name, mean in MEANS.items():
        yield _of_gpy(name, GPy.kern.RBF(D, 1.7, [0.9, 1.4], ARD=True), mean())
    yield _exp_sine_squared()
    bases: tuple[Basis, ...] = ("constant", "linear")
    for basis in bases:
        yield _estimated(basis)


def _line(slopes: list[float]) -> Any:
    mapping = GPy.mappings.Linear(D, 1)
    mapping.A[:] = np.array(slopes)[:, None]
    return mapping


def _noise(K: FloatArray) -> tuple[float, float]:
    """Return the noise variance, and the condition number with it."""
    values = np.linalg.eigvalsh(K)
    noise = float(values[-1]) / CONDITION
    return noise, float((values[-1] + noise) / (max(values[0], 0.0) + noise))


def _of_gpy(name: str, kernel: Any, mean: Any) -> Case:
    X, y = data()
    noise, condition = _noise(kernel.K(X))
    m = GPy.models.GPRegression(X, y[:, None], kernel, noise_var=noise, mean_function=mean)
    model = GPR.from_gpy(m, ["a", "b"])
    return Case(
        name,
        model,
        gpytruth.posterior(m),
        lambda Q: np.hstack(m.predict(Q, include_likelihood=False)),
        condition,
    )


def _exp_sine_squared() -> Case:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, ExpSineSquared

    X, y = data()
    X = X[:, :1]  # of several inputs it is not positive definite
    kernel = ConstantKernel(1.7) * ExpSineSquared(0.9, 3.0)
    noise, condition = _noise(kernel(X))
    gpr = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, y)
    found = truth.Exact(exact.ExpSineSquared(1.7, 3.0, [0], 0.9), X, y, noise)
    model = GPR.from_parts(
        X,
        y,
        kernel=kernels.ExpSineSquared(1, 1.7, 0.9, 3.0),
        noise_variance=noise,
    )

    def witness(Q: FloatArray) -> FloatArray:
        mean, deviation = gpr.predict(Q, return_std=True)
        return np.column_stack([mean, deviation**2])

    return Case("ExpSineSquared (witness: scikit-learn)", model, found, witness, condition)


def _estimated(basis: Basis) -> Case:
    X, y = data()
    kernel = kernels.RBF(D, 1.7, [0.9, 1.4])
    noise, condition = _noise(kernel.K(X, X))
    model = GPR.from_parts(X, y, kernel=kernel, noise_variance=noise, mean=basis)
    found = truth.Exact(exact.RBF(1.7, [0.9, 1.4], [0, 1]), X, y, noise, mean=truth.Mean(basis))
    return Case(f"RBF, estimated {basis}", model, found, None, condition)


def check_answers(case: Case, section: Section) -> None:
    """Add a row: the model's and the witness's errors, and the difference of both."""
    Q = points()[:, : case.model.input_dim]
    wanted = case.truth.answers(Q)
    prior = float(np.max(case.model.posterior.kernel.diagonal(Q)))
    ours = case.model.predict(Q, noise=False)
    off = errors(ours, wanted, prior)
    cells = [case.name, f"{case.condition:.0e}"]
    cells += [section.check(f"{case.name}, {k}", v, LIMIT) for k, v in off._asdict().items()]
    if case.witness is None:
        cells += ["", "", "", ""]
    else:
        theirs = case.witness(Q)
        cells += [f"{value:.1e}" for value in errors(theirs, wanted, prior)]
        between = errors(ours, theirs, prior)._asdict().items()
        cells += [section.check(f"{case.name}, {k} beside GPy", v, LIMIT) for k, v in between]
    section.rows.append(cells)


def check_derivatives(case: Case, section: Section) -> None:
    """Add a row: errors of gradient and Hessian, of mean and variance."""
    Q, cells = points()[:4, : case.model.input_dim], [case.name]
    prior = float(np.max(case.model.posterior.kernel.diagonal(Q)))
    least = {"mean": LEFT * np.sqrt(prior), "variance": LEFT * prior}
    for order in ("gradient", "hessian"):
        found, wanted = (getattr(side, order)(Q) for side in (case.model, case.truth))
        for i, what in enumerate(("mean", "variance")):
            value = relative(found[:, i], wanted[:, i], least[what])
            name = f"{case.name}, {order} of the {what}"
            cells.append(section.check(name, value, DERIVATIVES_LIMIT))
    section.rows.append(cells)


def sections() -> list[Section]:
    """Return the sections of answers and of derivatives."""
    answers = Section(
        "Kernels and means",
        f"{N} points in {D} dimensions, the noise chosen for a condition number of at most "
        f"{CONDITION:.0e}, 20 points among and around them. Errors of a mean are divided by the "
        "larger of the mean and the prior's deviation; those of a variance by the variance, but at "
        f"least by {LEFT:g} of the prior's. The limit is {LIMIT:.0e}, against the truth and "
        "between the service and GPy.",
        [
            "kernel",
            "condition",
            "mean",
            "variance",
            "GPy's mean",
            "GPy's variance",
            "mean, beside GPy",
            "variance, beside GPy",
        ],
    )
    derivatives = Section(
        "Derivatives",
        "The same models; the truth is a finite difference, in 400-bit arithmetic with steps of "
        "2⁻¹⁰⁰, of the exact posterior. Errors are divided by the largest derivative of four "
        f"points, but at least by {LEFT:g} of the prior's deviation or variance per unit of input; "
        f"the limit is {DERIVATIVES_LIMIT:.0e}.",
        ["kernel", "∂mean", "∂variance", "∂²mean", "∂²variance"],
    )
    for case in cases():
        check_answers(case, answers)
        check_derivatives(case, derivatives)
    return [answers, derivatives]
