"""Calibrate a trained GP: one factor of all variances, so that its intervals hold what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.gpr.posterior import Posterior
from service.gpr.validation import precision

PRIOR_ROWS = 10
"""Leaving rows out counts as if this many more rows had confirmed the likelihood's variance."""

LARGEST_SHARE = 2 / 3
"""An interpolation has as many effective parameters as rows, but its leave-one-out is honest."""

LEAST_FREEDOM = 3


def calibrated(p: Posterior, hyperparameters: int) -> Posterior:
    """Return an exact GP with all variances multiplied by one factor; its means stay as they are.

    Bachoc 2013 scales the variance so that the squared standardised residuals of leave-one-out have
    mean 1. Here that mean is drawn towards 1 by `PRIOR_ROWS`, and the 95 % interval is as wide as
    that of a Student t. Its degrees of freedom are the rows less the hyperparameters and less the
    effective parameters of the mean, ``tr K(K + σ²I)⁻¹`` (Rasmussen & Williams, section 2.6).

    A sparse GP, and one with known noise, are returned as they are.
    """
    if p.inducing or len(np.unique(p.nugget)) > 1:
        return p
    n, W = len(p.X), precision(p)
    squares = (p.alpha**2 / W)[np.isfinite(W)]
    mean = float((squares.sum() + PRIOR_ROWS) / (len(squares) + PRIOR_ROWS))
    effective = min(n - float(np.nansum(p.nugget * W)), LARGEST_SHARE * n)
    return rescaled(p, mean * _student(n - hyperparameters - effective))


def _student(freedom: float) -> float:
    """Return the squared ratio of the 95 % interval of Student's t to that of a normal variable."""
    from scipy.stats import norm, t

    return float((t.ppf(0.975, max(freedom, LEAST_FREEDOM)) / norm.ppf(0.975)) ** 2)


def rescaled(p: Posterior, factor: float) -> Posterior:
    """Return p with its variances multiplied, by an output scale that is √factor as large."""
    root = float(np.sqrt(factor))
    return replace(
        p,
        output_scale=p.output_scale * root,
        y=p.y / root,
        alpha=p.alpha / root,
        mean=replace(p.mean, coefficients=p.mean.coefficients / root),
        reference_answers=p.reference_answers * np.array([1.0, factor]),
    )
