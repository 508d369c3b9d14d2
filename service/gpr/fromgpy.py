"""Models that GPy trained: what they state is taken over, and their answers are compared."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import GPy
import numpy as np
from numpy.typing import ArrayLike

from service.gpr import kernels
from service.gpr.conditioning import Stated, condition
from service.gpr.factors import Product
from service.gpr.kernels import SUPPORTED, TERMS, Kernel
from service.gpr.means import Mean
from service.gpr.parts import per_input
from service.gpr.posterior import Posterior
from service.gpr.stationary import Stationary
from service.model import FloatArray, check_feature_names

GPY_JITTER = 1e-8
"""What GPy adds to the diagonal of every kernel matrix."""

EPSILON = float(np.finfo(np.float64).eps)

SERVED = (
    GPy.core.GP,
    GPy.core.SparseGP,
    GPy.models.GPRegression,
    GPy.models.SparseGPRegression,
    GPy.models.GPHeteroscedasticRegression,
)


def kernel_of(kernel: Any) -> Kernel:
    """Return a GPy kernel as plain data.

    Raises `ValueError`: the kernel is unsupported; the message names it.
    """
    kind = type(kernel)
    if kind is GPy.kern.Add:
        return reduce(operator.add, map(kernel_of, kernel.parts))
    if kind is GPy.kern.Prod:
        return reduce(operator.mul, map(kernel_of, kernel.parts))
    if kind.__name__ not in TERMS or kind is not getattr(GPy.kern, kind.__name__):
        raise ValueError(
            f"unsupported kernel {kernel.name!r} ({kind.__name__}); supported: {SUPPORTED}. Train "
            "with one of these, or give the posterior's numbers to a Model of your own"
        )
    numbers: dict[str, Any] = {}
    for name in ("variance", "variances", "lengthscale", "period", "power"):
        if hasattr(kernel, name):
            number = np.array(getattr(kernel, name), dtype=np.float64)
            numbers[name] = number.item() if name in ("variance", "power") else number
    if kind.__name__ not in ("Bias", "White"):
        numbers["active_dims"] = np.array(kernel._all_dims_active)
    made: Kernel = getattr(kernels, kind.__name__)(kernel.input_dim, **numbers)
    return made


def mean_of(mapping: Any, d: int) -> Mean:
    """Return a GPy mean function as plain data: Constant, Linear, or sums of them.

    Raises `ValueError`: the mapping is unsupported; the message names it.
    """
    if mapping is None:
        return Mean()
    kind = type(mapping)
    if kind is GPy.mappings.Constant:
        return Mean("constant", np.array(mapping.C, dtype=np.float64).reshape(1))
    if kind is GPy.mappings.Linear:
        slopes = np.array(mapping.A, dtype=np.float64).reshape(d)
        return Mean("linear", np.concatenate([[0.0], slopes]))
    if kind is GPy.mappings.Additive:
        beta = np.zeros(1 + d)
        for part in (mapping.mapping1, mapping.mapping2):
            found = mean_of(part, d).coefficients
            beta[: len(found)] += found
        return Mean("linear", beta)
    raise ValueError(
        f"unsupported mean function {mapping.name!r} ({kind.__name__}); supported: Constant, "
        "Linear and Additive of these"
    )


def _refuse_unsupported(m: Any) -> None:
    kind = type(m)
    if kind not in SERVED:
        raise ValueError(
            f"a {kind.__module__.partition('.')[0]} {kind.__name__} cannot be taken over: from_gpy "
            f"takes {', '.join(served.__name__ for served in SERVED)}. Models of scikit-learn have "
            "from_sklearn, hyperparameters of any other toolkit from_parts"
        )
    likelihoods = (GPy.likelihoods.Gaussian, GPy.likelihoods.HeteroscedasticGaussian)
    reasons = {
        "its likelihood is not Gaussian; train a GPRegression": type(m.likelihood)
        not in likelihoods,
        "it has more than one output; train one model for each": m.output_dim != 1,
        "its inputs are uncertain": m.has_uncertain_inputs() if hasattr(m, "Z") else False,
        "its normalizer is not GPy's Standardize; use normalizer=True": m.normalizer is not None
        and type(m.normalizer) is not GPy.util.normalizer.Standardize,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"the model cannot be served: {reason}")
    if not np.isfinite(m.Y).all() or m.posterior.woodbury_inv.ndim != 2:
        raise ValueError("the model cannot be served: outputs are missing; leave those rows out")


def stated_by(m: Any, input_offset: FloatArray, input_scale: FloatArray) -> Stated:
    """Return what a GPy model states: its hyperparameters, not its answers.

    Raises `ValueError`: its kernel or mean function is unsupported.
    """
    d = m.input_dim
    noise = np.array(m.likelihood.variance, dtype=np.float64).reshape(-1)
    per_row = type(m.likelihood) is not GPy.likelihoods.Gaussian
    offset, scale = (m.normalizer.mean, m.normalizer.std) if m.normalizer else (0.0, 1.0)
    return Stated(
        kernel=kernel_of(m.kern),
        mean=mean_of(m.mean_function, d),
        noise_variance=0.0 if per_row else noise.item(),
        row_noise=noise if per_row else np.zeros(0),
        jitter=GPY_JITTER,
        input_offset=np.array(input_offset, dtype=np.float64),
        input_scale=np.array(input_scale, dtype=np.float64),
        output_offset=float(np.squeeze(offset)),
        output_scale=float(np.squeeze(scale)),
        Z=np.array(m.Z, dtype=np.float64) if hasattr(m, "Z") else np.zeros((0, 0)),
    )


def posterior_of(
    m: Any,
    feature_names: Sequence[str],
    output_name: str = "y",
    *,
    inputs: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
    output: tuple[float, float] = (0.0, 1.0),
) -> Posterior:
    """Return the posterior of a trained GPy model: its hyperparameters, conditioned by us.

    Parameters
    ----------
    inputs, output : offset and scale of what was standardised before GPy saw it

    Raises `ValueError`: the model cannot be served, or its own answers are not those of its
    hyperparameters and data.
    """
    _refuse_unsupported(m)
    X, y = np.array(m.X, dtype=np.float64), np.array(m.Y, dtype=np.float64)[:, 0]
    check_feature_names(feature_names, X.shape[1])
    offset, scale = (per_input(array, X.shape[1]) for array in inputs)
    stated = stated_by(m, offset, scale)
    stated = replace(
        stated,
        output_offset=output[0] + output[1] * stated.output_offset,
        output_scale=output[1] * stated.output_scale,
    )
    posterior = condition(
        X * scale + offset,
        y * output[1] + output[0],
        stated,
        feature_names,
        output_name,
        trained_by=GPy.__version__,
    )
    _compare(posterior, m, output)
    return posterior


def _compare(p: Posterior, m: Any, output: tuple[float, float]) -> None:
    """Compare our answers with GPy's, within what both sides' rounding allows.

    GPy rounds r² by about ε|x/l|², since it computes |x|² - 2xz + |z|². An error δ in K changes a
    mean by up to ``|w|₁ |α|₁ δ`` with ``w = K⁻¹k``, and a variance by up to ``|w|₁² δ``. For a
    sparse GP it squares K_XZ/σ, too, which leaves about half of the digits where there is little
    noise: 1e-5 of the prior's deviation were seen.

    Raises `ValueError`: the difference is larger.
    """
    X = p.model_units(p.reference_X)
    latent = type(m.likelihood) is not GPy.likelihoods.Gaussian
    theirs = np.hstack(m.predict_noiseless(X) if latent else m.predict(X))
    theirs = theirs * [output[1], output[1] ** 2] + [output[0], 0.0]
    error = np.abs(theirs - p.reference_answers)
    share = 1e-4 if p.inducing else 1e-7
    allowed = 10 * _rounding_of_gpy(p) + share * np.column_stack(
        [
            p.output_scale * np.sqrt(p.kernel.diagonal(X)) + np.abs(theirs[:, 0]),
            p.output_scale**2 * p.kernel.diagonal(X),
        ]
    )
    if not (error <= allowed).all():
        row, column = np.unravel_index(np.argmax(error - allowed), error.shape)
        raise ValueError(
            f"the model's {('mean', 'variance')[column]} at {X[row].tolist()} is "
            f"{theirs[row, column]:.10g} in GPy, but {p.reference_answers[row, column]:.10g} by "
            "its hyperparameters and data; was it changed after the last update?"
        )


def _rounding_of_gpy(p: Posterior) -> FloatArray:
    """Return how far GPy's answers at the reference points may be off, shape (p, 2)."""
    U = p.model_units(p.reference_X)
    C = p.triangle()
    k = p.kernel.K(U, p.X)
    w = np.abs(k @ C.T @ C).sum(axis=1)
    if p.inducing:
        K = p.kernel.K(p.X, p.X) + (p.kernel.white + p.jitter) * np.eye(len(p.X))
        w = np.maximum(w, np.abs(np.linalg.solve(K, k.T)).sum(axis=0))
    largest = float(np.max(p.kernel.diagonal(p.X)))
    radius = max([_radius(term, p.X) for term in p.kernel.functions], default=0.0)
    delta = EPSILON * largest * (len(p.X) + radius)
    weight = float(np.abs(p.alpha).sum())
    mean = p.output_scale * weight * delta * (1 + w)
    return np.column_stack([mean, p.output_scale**2 * delta * (1 + w) ** 2])


def _radius(term: Any, X: FloatArray) -> float:
    """Return the largest |x/l|² of a term."""
    if isinstance(term, Product):
        return max(_radius(factor, X) for factor in term.factors)
    if not isinstance(term, Stationary):
        return 0.0
    u = X[:, term.active_dims] / term.lengthscale
    return 4 * float(np.vecdot(u, u).max())
