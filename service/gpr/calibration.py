"""Calibrate a trained GP: one factor of all variances, so that its intervals hold what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.gpr.means import Trend
from service.gpr.posterior import Posterior

PRIOR_ROWS = 10
"""Leaving out rows counts as if this many more rows had confirmed the likelihood's variance."""

LEAST_FREEDOM = 3


def calibrated(p: Posterior, hyperparameters: int) -> Posterior:
    """Return an exact GP with all variances multiplied by one factor; its means stay as they are.

    Bachoc 2013 scales the variance so that the squared standardised residuals of leave-one-out have
    mean 1. Here that mean is drawn towards 1 by `PRIOR_ROWS`, and the 95 % interval is as wide as
    that of a Student t with as many degrees of freedom as there are rows less hyperparameters,
    because these are estimates, too.

    A sparse GP, and one with known noise, are returned as they are.
    """
    if p.inducing or len(np.unique(p.nugget)) > 1:
        return p
    C = p.triangle()
    W = np.vecdot(C.T, C.T)
    if p.mean.estimated:
        V = C.T @ Trend(p.mean.design(p.X), C).Q
        W = W - np.vecdot(V, V)
    squares = p.alpha**2 / W
    squares = squares[np.isfinite(squares)]
    n = len(p.X)
    mean = (squares.sum() + PRIOR_ROWS) / (len(squares) + PRIOR_ROWS)
    return rescaled(p, float(mean) * _student(max(n - hyperparameters, LEAST_FREEDOM)))


def _student(freedom: int) -> float:
    """Return the squared ratio of the 95 % interval of Student's t to that of a normal variable."""
    from scipy.stats import norm, t

    return float((t.ppf(0.975, freedom) / norm.ppf(0.975)) ** 2)


def rescaled(p: Posterior, factor: float) -> Posterior:
    """Return p with its variances multiplied, by an output scale that is √factor as large."""
    root = float(np.sqrt(factor))
    reference = p.reference_answers * np.array([1.0, factor])
    return replace(
        p,
        output_scale=p.output_scale * root,
        y=p.y / root,
        alpha=p.alpha / root,
        mean=replace(p.mean, coefficients=p.mean.coefficients / root),
        reference_answers=reference,
    )
