"""The truth of a GPy model: its hyperparameters and data, read from the model and taken exactly."""

from __future__ import annotations

import functools
import operator
from typing import Any

import GPy
import numpy as np

from tests.gpr import exactkernels as exact
from tests.gpr import truth

JITTER = 1e-8
"""GPy adds it to the diagonal: of K + noise for an exact GP, of K_ZZ for a sparse one."""

_STATIONARY = ("RBF", "Exponential", "Matern32", "Matern52")


def kernel(k: Any) -> exact.Kernel:
    """Return a GPy kernel in exact arithmetic."""
    if isinstance(k, GPy.kern.Add | GPy.kern.Prod):
        combine = operator.add if isinstance(k, GPy.kern.Add) else operator.mul
        return functools.reduce(combine, map(kernel, k.parts))
    name, dims = type(k).__name__, [int(i) for i in k._all_dims_active]
    if name in ("Bias", "White"):
        return getattr(exact, name)(float(k.variance[0]))  # type: ignore[no-any-return]
    if name == "Linear":
        return exact.Linear(k.variances.values, dims)
    variance, lengthscale = float(k.variance[0]), k.lengthscale.values
    if name == "StdPeriodic":
        return exact.StdPeriodic(variance, k.period.values, lengthscale, dims)
    if name == "RatQuad":
        return exact.RatQuad(variance, lengthscale, dims, float(k.power[0]))
    if name not in _STATIONARY:
        raise ValueError(f"no exact form of {name}")
    return getattr(exact, name)(variance, lengthscale, dims)  # type: ignore[no-any-return]


def mean(function: Any, d: int) -> truth.Mean:
    """Return a GPy mean function: a constant, a linear one, or the sum of both."""
    if function is None:
        return truth.Mean()
    if isinstance(function, GPy.mappings.Additive):
        both = [mean(f, d).coefficients for f in (function.mapping1, function.mapping2)]
        padded = [(*(c or ()), *[0.0] * (d + 1 - len(c or ()))) for c in both]
        return truth.Mean("linear", tuple(a + b for a, b in zip(*padded, strict=True)))
    if isinstance(function, GPy.mappings.Constant):
        return truth.Mean("constant", (float(function.C[0]),))
    return truth.Mean("linear", (0.0, *(float(a) for a in function.A.values[:, 0])))


def posterior(m: Any) -> truth.Posterior:
    """Return the exact posterior of a GPy regression, sparse or not."""
    offset, scale = (m.normalizer.mean, m.normalizer.std) if m.normalizer else (0.0, 1.0)
    units = truth.Units(
        output_offset=float(np.squeeze(offset)), output_scale=float(np.squeeze(scale))
    )
    X, y = np.array(m.X), np.array(m.Y)[:, 0]
    noise = np.squeeze(m.likelihood.gaussian_variance(m.Y_metadata))
    if hasattr(m, "Z"):
        return truth.Sparse(kernel(m.kern), np.array(m.Z), X, y, float(noise), units=units)
    return truth.Exact(
        kernel(m.kern),
        X,
        y,
        noise,
        jitter=JITTER,
        mean=mean(m.mean_function, X.shape[1]),
        units=units,
    )
