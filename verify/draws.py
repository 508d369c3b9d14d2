"""Draws beside the exact posterior: their means, variances and correlations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.gpr import GPR, kernels
from service.model import FloatArray
from tests.gpr import exactkernels as exact
from tests.gpr import truth
from verify.report import Section

DRAWS, POINTS, SEEDS = 3000, 40, (1, 2, 3)

MEAN_LIMIT = VARIANCE_LIMIT = 4.5
"""Standard errors: among 40 points, 13 models and 3 seeds less than one in a hundred times."""

CORRELATION_LIMIT = 5.5
"""Standard errors: among all pairs of these points less than one in a hundred times."""

SETTLED = 1e-6
"""A correlation nearer to 1 than this is not told from 1."""


@dataclass(frozen=True)
class Case:
    """A model of stated hyperparameters, and how to make its truth."""

    name: str
    model: GPR
    truth: Callable[[], truth.Posterior]


def data(n: int, d: int) -> tuple[FloatArray, FloatArray]:
    """Return X, shape (n, d) in the unit cube, and y, shape (n,)."""
    rng = np.random.default_rng(n)
    X = rng.random((n, d))
    return X, np.sin(6 * X[:, 0]) + X[:, -1] ** 2 + 0.05 * rng.standard_normal(n)


def _case(
    name: str,
    n: int,
    d: int,
    ours: Any,
    theirs: Any,
    noise: float,
    white: float = 0.0,
    **other: Any,
) -> Case:
    """Return a case; `other` may have a mean or inducing inputs."""
    X, y = data(n, d)
    model = GPR.from_parts(X, y, kernel=ours, noise_variance=noise, jitter=1e-8, **other)

    def make() -> truth.Posterior:
        Z = other.get("inducing_inputs")
        if Z is not None:
            return truth.Sparse(theirs, Z, X, y, noise)
        mean = truth.Mean(other.get("mean", "none"))
        return truth.Exact(theirs, X, y, noise, jitter=1e-8 + white, mean=mean)

    return Case(name, model, make)


def cases() -> Iterator[Case]:
    """Yield the three models of the first measurement, and ten others."""
    k, e, one, two = kernels, exact, [0], [0, 1]
    yield _case(
        "Matern32, 1-d, N = 300", 300, 1, k.Matern32(1, 1, 0.3), e.Matern32(1, 0.3, one), 1e-3
    )
    yield _case(
        "Matern52, 2-d, N = 100", 100, 2, k.Matern52(2, 1, 0.5), e.Matern52(1, 0.5, two), 1e-4
    )
    yield _case("RBF, 2-d, N = 60", 60, 2, k.RBF(2, 1, 0.4), e.RBF(1, 0.4, two), 1e-10)
    yield _case("Exponential", 80, 1, k.Exponential(1, 2, 0.5), e.Exponential(2, 0.5, one), 1e-4)
    yield _case("RatQuad", 60, 2, k.RatQuad(2, 1, 0.4, 0.7), e.RatQuad(1, 0.4, two, 0.7), 1e-6)
    yield _case("Linear", 30, 2, k.Linear(2, [1, 2]), e.Linear([1, 2], two), 1e-2)
    yield _case(
        "StdPeriodic", 40, 1, k.StdPeriodic(1, 1, 0.4, 0.8), e.StdPeriodic(1, 0.4, 0.8, one), 1e-3
    )
    yield _case(
        "RBF + Bias + White",
        60,
        2,
        k.RBF(2, 1, 0.5) + k.Bias(2, 3) + k.White(2, 0.1),
        e.RBF(1, 0.5, two) + e.Bias(3),
        0.01,
        white=0.1,  # no part of the function that is drawn
    )
    yield _case(
        "RBF * Linear",
        60,
        2,
        k.RBF(2, 1, 0.7) * k.Linear(2),
        e.RBF(1, 0.7, two) * e.Linear(1, two),
        1e-3,
    )
    matern, exponential = k.Matern32(2, 1, 0.5), k.Exponential(2, 1, 2)
    yield _case(
        "Matern32 * Exponential",
        60,
        2,
        matern * exponential,
        e.Matern32(1, 0.5, two) * e.Exponential(1, 2, two),
        1e-4,
    )
    for basis in ("constant", "linear"):
        yield _case(
            f"Matern52, estimated {basis}",
            60,
            2,
            k.Matern52(2, 1, 0.5),
            e.Matern52(1, 0.5, two),
            1e-4,
            mean=basis,
        )
    yield _case(
        "RBF, 30 inducing inputs",
        200,
        2,
        k.RBF(2, 1, 0.4),
        e.RBF(1, 0.4, two),
        1e-3,
        inducing_inputs=data(200, 2)[0][:30],
    )


def deviations(S: FloatArray, mean: FloatArray, covariance: FloatArray) -> dict[str, FloatArray]:
    """Return how many standard errors the moments of draws, shape (n, points), are off.

    The variance of n draws has the relative standard error √(2/n), and a correlation ρ has
    (1 - ρ²)/√n (Kendall & Stuart, section 10.15). One as near to ±1 as `SETTLED` is left out.
    """
    n = len(S)
    found = np.cov(S.T)
    variance, sampled = np.diag(covariance), np.diag(found)
    exactly = covariance / np.sqrt(np.outer(variance, variance))
    correlation = found / np.sqrt(np.outer(sampled, sampled))
    pairs = np.triu(np.abs(exactly) < 1 - SETTLED, k=1)
    off = np.abs(correlation - exactly)[pairs]
    return {
        "mean": np.abs(S.mean(axis=0) - mean) / np.sqrt(variance / n),
        "variance": np.abs(sampled / variance - 1) / np.sqrt(2 / n),
        "correlation": off * np.sqrt(n) / (1 - exactly[pairs] ** 2),
        "ratio": sampled / variance,
    }


def check(case: Case, model: Any, section: Section) -> None:
    """Add a row: the worst of all points, pairs and seeds."""
    X = 0.1 + 0.8 * np.random.default_rng(5).random((POINTS, case.model.input_dim))
    found = case.truth()
    mean, covariance = found.answers(X)[:, 0], found.joint(X)
    off = [deviations(model.samples(X, DRAWS, seed), mean, covariance) for seed in SEEDS]
    worst = {k: max(float(np.max(o[k], initial=0)) for o in off) for k in off[0]}
    ratios = np.concatenate([o["ratio"] for o in off])
    limits = {
        "mean": MEAN_LIMIT,
        "variance": VARIANCE_LIMIT,
        "correlation": CORRELATION_LIMIT,
    }
    cells = [_errors(section, f"{case.name}, {k}", worst[k], limit) for k, limit in limits.items()]
    section.rows.append([case.name, f"{ratios.min():.3f} … {ratios.max():.3f}", *cells])


def _errors(section: Section, name: str, value: float, limit: float) -> str:
    cell = section.check(name, value, limit)
    return f"**{value:.1f}**" if cell.startswith("**") else f"{value:.1f}"


def sections() -> list[Section]:
    """Return the section of draws."""
    section = Section(
        "Draws",
        f"{DRAWS} draws at {POINTS} points inside the data, with the seeds "
        f"{', '.join(map(str, SEEDS))}. The ratio is the draws' variance over the posterior's of "
        "the latent function. The other columns are the largest deviation, in standard errors, of "
        f"the draws' means, variances and correlations of pairs; the limits are {MEAN_LIMIT:g}, "
        f"{VARIANCE_LIMIT:g} and {CORRELATION_LIMIT:g}, so that a right sampler exceeds one of "
        "them in one run of a hundred.",
        ["model", "ratio of variances", "mean", "variance", "correlation"],
    )
    for case in cases():
        check(case, case.model, section)
    return [section]
