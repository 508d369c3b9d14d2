"""How good a model is: its answers for rows that it has not seen, and their scores."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.gpr.factors import Function, Linear, Product, StdPeriodic
from service.gpr.means import Trend
from service.gpr.posterior import Posterior
from service.gpr.stationary import Stationary
from service.gpr.verdict import verdict
from service.model import Diagnostics, FloatArray, Unsupported

COVERAGE = (50, 80, 90, 95, 99)
"""The intervals, in percent, whose coverage is a score."""

FORMAT_1 = ("rmse", "log_predictive_density", "coverage_95")
"""The scores of held-out rows in files of format 1."""

UNDETERMINED = 1e-12
"""A row without which the mean's coefficients are not determined has at most this share left."""


def scores(observed: FloatArray, answers: FloatArray) -> dict[str, float]:
    """Return the scores of answers, shape (n, 2) with noise, for the observed values, shape (n,).

    Q² is the share of the observed variance that the mean explains; it is left out when the
    observed values are all equal. The log predictive density is its mean (Rasmussen & Williams,
    section 2.5), and the predictive variance adequacy is ``|log mean z²|`` with the standardised
    residuals z, 0 at best (Bachoc 2013, Demay et al. 2022).
    """
    error, variance = observed - answers[:, 0], answers[:, 1]
    z = np.abs(error) / np.sqrt(variance)
    density = -0.5 * (np.log(2 * np.pi * variance) + z**2)
    found = {"rows": len(observed), "rmse": float(np.sqrt(np.mean(error**2)))}
    total = np.sum((observed - np.mean(observed)) ** 2)
    if total > 0:
        found["q2"] = float(1 - np.sum(error**2) / total)
    found["log_predictive_density"] = float(np.mean(density))
    for percent in COVERAGE:
        limit = NormalDist().inv_cdf(0.5 + percent / 200)
        found[f"coverage_{percent}"] = float(np.mean(z <= limit))
    smallest = float(np.finfo(np.float64).tiny)
    found["predictive_variance_adequacy"] = abs(math.log(max(float(np.mean(z**2)), smallest)))
    found["largest_residual"] = float(z.max())
    return found


def leave_one_out(p: Posterior) -> FloatArray:
    """Return mean and variance, with noise, of each training row given all others, shape (N, 2).

    With W = CᵀC the error is ``alphaᵢ/Wᵢᵢ``, and its variance 1/Wᵢᵢ (Rasmussen & Williams,
    equation 5.12). For an estimated mean W loses ``(CᵀQ)(CᵀQ)ᵀ``, so that it is estimated without
    the row, too (Dubrule 1983). Both are in raw units. NaN marks a row without which the estimated
    mean is not determined.

    Raises `Unsupported`: the model is a sparse GP.
    """
    if p.inducing:
        raise Unsupported("a sparse GP has no leave-one-out in closed form")
    W = precision(p)
    latent = np.maximum(1 / W - p.nugget, p.least_variance)
    mean = training_outputs(p) - p.output_scale * p.alpha / W
    return np.column_stack([mean, p.output_scale**2 * (latent + p.nugget - p.jitter)])


def precision(p: Posterior) -> FloatArray:
    """Return the diagonal of W, shape (N,); NaN as in `leave_one_out`."""
    W = np.zeros(len(p.X))
    first = 0
    for size in range(1, len(W) + 1):
        W[:size] += p.factor[first : first + size] ** 2
        first += size
    if not p.mean.estimated:
        return W
    C = p.triangle()
    trend = Trend(p.mean.design(p.X), C)
    V = C.T @ trend.Q
    left = W - np.vecdot(V, V)
    return np.where(left > UNDETERMINED * W, left, np.nan)


def training_outputs(p: Posterior) -> FloatArray:
    """Return the training outputs of an exact GP in raw units, shape (N,)."""
    return _as_written(p.output_offset + p.output_scale * p.y)


def described(p: Posterior) -> dict[str, Any]:
    """Return the scores of `Description`, with their verdict.

    Those by leave-one-out follow from the posterior, so a file does not have them. Those of
    held-out rows are also there by themselves, as in files of format 1.
    """
    found: dict[str, Any] = dict(p.scores)
    if not p.inducing:
        rows, observed, answers = _left_out(p)
        if len(rows):
            found["leave_one_out"] = scores(observed, answers)
    if len(p.held_out):
        unseen = found["held_out"] = scores(p.held_out[:, 0], p.held_out[:, 1:])
        few = {name: unseen[name] for name in FORMAT_1}
        found = {"held_out_rows": float(unseen["rows"]), **few} | found
    elif p.scores.keys() >= {"held_out_rows", *FORMAT_1}:
        few = {name: p.scores[name] for name in FORMAT_1}
        found["held_out"] = {"rows": p.scores["held_out_rows"], **few}
    return found | verdict(found)


def diagnose(p: Posterior, scores: dict[str, Any]) -> Diagnostics:
    """Return the left-out rows of an exact GP, or the held-out rows of a sparse one.

    Raises `Unsupported`: a sparse GP has no held-out rows in its file.
    """
    if not p.inducing:
        rows, observed, answers = _left_out(p)
        X = training_inputs(p)[rows]
        return Diagnostics("leave_one_out", rows, X, observed, answers, relevance(p), scores)
    if not len(p.held_out):
        raise Unsupported(
            "this model has no diagnostics: a sparse GP is judged by held-out rows, and its file "
            "does not keep any. Train it again with this version of the service"
        )
    rows, unknown = np.arange(len(p.held_out)), np.zeros((len(p.held_out), 0))
    observed, answers = p.held_out[:, 0], p.held_out[:, 1:]
    return Diagnostics("held_out", rows, unknown, observed, answers, relevance(p), scores)


def _left_out(p: Posterior) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Return the rows that can be left out, what was observed there, and the answers."""
    answers = leave_one_out(p)
    rows = np.flatnonzero(np.isfinite(answers[:, 0]))
    return rows, training_outputs(p)[rows], answers[rows]


def training_inputs(p: Posterior) -> FloatArray:
    """Return the training inputs of an exact GP in raw units, shape (N, d).

    A value of a categorical input is its code.
    """
    X = p.encoding.collapse(p.input_offset + p.input_scale * p.X)
    return np.column_stack([_as_written(column) for column in X.T])


def _as_written(column: FloatArray) -> FloatArray:
    """Round to 12 digits of the range: scaling has changed the last digits of the data."""
    reach, largest = float(np.ptp(column)), float(np.abs(column).max())
    if not 1e-280 < reach < 1e280:
        return column
    places = 11 - math.floor(math.log10(reach))
    return np.round(column, places) if largest * 10.0**places < 2**53 else column


def relevance(p: Posterior) -> FloatArray:
    """Return how often each input's lengthscale fits into its training range, shape (d,).

    In a sum of kernels the terms count by their variance; a linear term has the slope of
    its variance, and a periodic one the lengthscale that it has at small distances.
    """
    variance, slopes = 0.0, np.zeros(p.X.shape[1])
    for term in p.kernel.functions:
        more, steeper = _slopes(term, p.X)
        variance += more
        slopes += steeper
    reach = np.ptp(p.encoding.expand(p.training_range.T), axis=0) / p.input_scale
    found = reach * np.sqrt(slopes / variance if variance > 0 else slopes)
    return p.encoding.largest(found)


def _slopes(term: Function, X: FloatArray) -> tuple[float, FloatArray]:
    """Return a term's mean variance and the variance of its slopes, shape (D,)."""
    if isinstance(term, Product):
        variance, slopes = 1.0, np.zeros(X.shape[1])
        for factor in term.factors:
            more, steeper = _slopes(factor, X)
            slopes = slopes * more + variance * steeper
            variance *= more
        return variance, slopes
    variance, slopes = float(np.mean(term.diagonal(X))), np.zeros(X.shape[1])
    if isinstance(term, Linear):
        slopes[term.active_dims] = term.variances
    elif isinstance(term, StdPeriodic):
        slopes[term.active_dims] = variance * (np.pi / (term.period * term.lengthscale)) ** 2
    elif isinstance(term, Stationary):
        rate = 2 * np.pi / term.shape if term.name == "ExpSineSquared" else 1.0
        slopes[term.active_dims] = variance * (rate / term.lengthscale) ** 2
    return variance, slopes
