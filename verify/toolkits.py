"""Models of scikit-learn, SMT and OpenTURNS, published, beside the toolkits' answers and truth."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.gpr import GPR, kernels
from service.gpr.means import Basis
from service.model import FloatArray
from tests.gpr import exactkernels as exact
from tests.gpr import truth
from verify import pages
from verify.comparison import Errors, errors
from verify.report import Section

N, D = 40, 2
LIMIT = 1e-9
"""Against the truth."""

BESIDE = 1e-7
"""Against the toolkit, which rounds, too."""

NUGGET = 1e-6
"""Of SMT and OpenTURNS, a share of the variance."""


@dataclass(frozen=True)
class Case:
    """A published model, the toolkit's own answers, and the truth where it was written down."""

    name: str
    model: GPR
    theirs: FloatArray
    """Mean and variance at `points`, shape (20, 2)."""
    truth: truth.Posterior | None = None
    noise: bool = True
    compares_variance: bool = True


def data() -> tuple[FloatArray, FloatArray]:
    """Return X, shape (N, D), and y, shape (N,)."""
    rng = np.random.default_rng(11)
    X = rng.uniform([0, 100], [10, 300], (N, D))
    return X, 50 + 3 * np.sin(X[:, 0]) + X[:, 1] / 20 + 0.1 * rng.standard_normal(N)


def points() -> FloatArray:
    """Return points inside the data, shape (20, D)."""
    return np.random.default_rng(12).uniform([0, 100], [10, 300], (20, D))


def sklearn_cases() -> Iterator[Case]:
    """Yield trained regressors, with and without scalers."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process import kernels as k
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    noise = k.WhiteKernel(0.1, (1e-4, 1))
    found = {
        "RBF": k.ConstantKernel() * k.RBF([1.0] * D) + noise,
        "Matern 1/2": k.ConstantKernel() * k.Matern([1.0] * D, nu=0.5) + noise,
        "Matern 3/2": k.ConstantKernel() * k.Matern([1.0] * D, nu=1.5) + noise,
        "Matern 5/2": k.ConstantKernel() * k.Matern(nu=2.5) + noise,
        "RationalQuadratic": k.ConstantKernel() * k.RationalQuadratic() + noise,
        "DotProduct² + RBF": k.DotProduct() ** 2 + k.RBF() + noise,
        "(RBF + c) * Matern + DotProduct": (k.RBF() + 0.5) * k.Matern(nu=1.5)
        + k.DotProduct()
        + noise,
    }
    X, y = data()
    for name, kernel in found.items():
        for scaler in (StandardScaler(), MinMaxScaler((-2, 2))):
            gpr = GaussianProcessRegressor(kernel, normalize_y=True)
            pipeline = make_pipeline(scaler, gpr).fit(X, y)
            mean, deviation = pipeline.predict(points(), return_std=True)
            yield Case(
                f"scikit-learn: {type(scaler).__name__}, {name}",
                GPR.from_sklearn(pipeline),
                np.column_stack([mean, deviation**2]),
            )


def smt_cases() -> Iterator[Case]:
    """Yield four correlations and two trends."""
    from smt.surrogate_models import KRG

    X, y = data()
    bases: tuple[Basis, ...] = ("constant", "linear")
    for corr in ("squar_exp", "abs_exp", "matern32", "matern52"):
        for basis in bases:
            krg = KRG(theta0=[0.1] * D, corr=corr, poly=basis, nugget=NUGGET, print_global=False)
            krg.set_training_values(X, y)
            with contextlib.redirect_stdout(None):
                krg.train()
            yield _smt(krg, f"SMT: {corr}, {basis}")


def _smt(krg: Any, name: str) -> Case:
    X, y = data()
    scale = krg.y_std.item()
    variance = krg.optimal_par["sigma2"].item() / scale**2
    kind, basis = krg.options["corr"], krg.options["poly"]
    theta = krg.optimal_theta
    lengths = 1 / np.sqrt(2 * theta) if kind == "squar_exp" else 1 / theta
    family = {"squar_exp": "RBF", "abs_exp": "Exponential"}.get(kind, kind.capitalize())
    ours = functools.reduce(
        operator.mul,
        (getattr(kernels, family)(1, 1.0, lengths[i], active_dims=[i]) for i in range(D)),
        kernels.Bias(D, variance),
    )
    theirs = functools.reduce(
        operator.mul,
        (getattr(exact, family)(1.0, lengths[i], [i]) for i in range(D)),
        exact.Bias(variance),
    )
    units: dict[str, Any] = {
        "input_offset": krg.X_offset,
        "input_scale": krg.X_scale,
        "output_offset": krg.y_mean.item(),
        "output_scale": scale,
    }
    jitter = variance * NUGGET
    return Case(
        name,
        GPR.from_parts(X, y, kernel=ours, noise_variance=0.0, mean=basis, jitter=jitter, **units),
        np.column_stack([krg.predict_values(points()), krg.predict_variances(points())]),
        truth.Exact(
            theirs, X, y, 0.0, jitter=jitter, mean=truth.Mean(basis), units=truth.Units(**units)
        ),
        # SMT 2.15 solves with the wrong triangle of G where G is larger than 1 x 1.
        compares_variance=basis == "constant",
    )


def openturns_cases() -> Iterator[Case]:
    """Yield five covariance models and three trends."""
    import openturns as ot

    ot.Log.Show(ot.Log.NONE)
    start = [3.0, 120.0], [2.0]
    covariances = {
        "RBF": lambda: ot.SquaredExponential(*start),
        "Matern32": lambda: ot.MaternModel(*start, 1.5),
        "Matern52": lambda: ot.MaternModel(*start, 2.5),
        "Exponential": lambda: ot.ExponentialModel(*start),
        "AbsoluteExponential": lambda: ot.AbsoluteExponential(*start),
    }
    bases: dict[Basis, Any] = {
        "none": ot.Basis(0),
        "constant": ot.ConstantBasisFactory(D).build(),
        "linear": ot.LinearBasisFactory(D).build(),
    }
    X, y = data()
    for family, make in covariances.items():
        for basis, functions in bases.items():
            covariance = make()
            covariance.setNuggetFactor(NUGGET)
            fitter = ot.GaussianProcessFitter(
                ot.Sample(X), ot.Sample(y[:, None]), covariance, functions
            )
            fitter.run()
            regression = ot.GaussianProcessRegression(fitter.getResult())
            regression.run()
            yield _openturns(ot, regression.getResult(), family, basis)


def _openturns(ot: Any, result: Any, family: str, basis: Basis) -> Case:
    X, y = data()
    covariance = result.getCovarianceModel()
    variance, lengths = covariance.getAmplitude()[0] ** 2, list(covariance.getScale())
    noise = variance * covariance.getNuggetFactor()
    if family == "AbsoluteExponential":
        ours = kernels.Exponential(1, variance, lengths[0], [0])
        ours *= kernels.Exponential(1, 1.0, lengths[1], [1])
        theirs: exact.Kernel = exact.Exponential(variance, lengths[0], [0])
        theirs *= exact.Exponential(1.0, lengths[1], [1])
    else:
        ours = getattr(kernels, family)(D, variance, lengths)
        theirs = getattr(exact, family)(variance, lengths, [0, 1])
    conditional = ot.GaussianProcessConditionalCovariance(result)
    found = [conditional.getConditionalMarginalVariance(point) for point in points()]
    return Case(
        f"OpenTURNS: {family}, {basis}",
        GPR.from_parts(X, y, kernel=ours, noise_variance=noise, mean=basis),
        np.column_stack([np.array(result.getMetaModel()(ot.Sample(points())))[:, 0], found]),
        truth.Exact(theirs, X, y, noise, mean=truth.Mean(basis)),
    )


def check(case: Case, model: Any, section: Section) -> None:
    """Add a row: errors against the truth, and differences from the toolkit."""
    p, Q = case.model.posterior, points()
    prior = p.output_scale**2 * float(p.kernel.diagonal(p.X[:1])[0])
    found = model.predict(Q, noise=case.noise)
    cells = ["", ""]
    if case.truth is not None:
        wanted = case.truth.answers(Q)
        wanted[:, 1] += p.output_scale**2 * p.noise_variance
        cells = _cells(section, case.name, errors(found, wanted, prior), LIMIT)
    off = errors(found, case.theirs, prior)
    beside = _cells(section, f"{case.name}, beside the toolkit", off._replace(variance=0.0), BESIDE)
    if case.compares_variance:
        beside = _cells(section, f"{case.name}, beside the toolkit", off, BESIDE)
    else:
        beside[1] = f"{off.variance:.1e} (its own error)"
    section.rows.append([case.name, *cells, *beside])


def _cells(section: Section, name: str, off: Errors, limit: float) -> list[str]:
    return [section.check(f"{name}: {k}", v, limit) for k, v in off._asdict().items()]


def sections() -> list[Section]:
    """Return the section of toolkits."""
    section = Section(
        "Models of other toolkits",
        f"{N} points in {D} dimensions; each toolkit has chosen the hyperparameters, and the model "
        "is published with `GPR.from_sklearn` or `GPR.from_parts`. Errors as those of kernels, "
        f"with the limit {LIMIT:.0e} against the truth and {BESIDE:.0e} beside the toolkit, whose "
        f"rounding it has. The nugget of SMT and OpenTURNS is {NUGGET:.0e} of the variance. With a "
        "linear trend SMT's variance is wrong: see [toolkits.md](toolkits.md), whose code was run.",
        ["model", "mean", "variance", "mean, beside the toolkit", "variance, beside the toolkit"],
    )
    makers: tuple[Callable[[], Iterator[Case]], ...] = (sklearn_cases, smt_cases, openturns_cases)
    for make in makers:
        for case in make():
            check(case, case.model, section)
    error = pages.run(pages.PAGE.read_text())
    if error:
        section.failures.append(f"docs/toolkits.md does not run: {error}")
    return [section]
