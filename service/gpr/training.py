"""Everything that needs GPy: training, and conversion of the models that it trained."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from functools import reduce
from typing import Any

import GPy
import numpy as np

from service.gpr import kernels
from service.gpr.conditioning import Stated, condition
from service.gpr.factors import Product
from service.gpr.kernels import SUPPORTED, TERMS, Kernel
from service.gpr.means import Mean
from service.gpr.posterior import Posterior
from service.gpr.stationary import FORMS, Stationary
from service.gpr.trainingdata import Progress, TrainingOptions, check_trainable
from service.model import FloatArray, check_feature_names

SEED = 0
"""For restarts and inducing inputs: the same data give the same model."""

DEFAULTS = TrainingOptions(restarts=5)

GPY_JITTER = 1e-8
"""What GPy adds to the diagonal of every kernel matrix."""

EPSILON = float(np.finfo(np.float64).eps)

EXACT_ITERATIONS = 1000

SPARSE_ITERATIONS = 200
"""Each iteration moves all inducing inputs; the bound gains little after this many."""


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
    likelihoods = (GPy.likelihoods.Gaussian, GPy.likelihoods.HeteroscedasticGaussian)
    reasons = {
        "its likelihood is not Gaussian; train a GPRegression": type(m.likelihood)
        not in likelihoods,
        "it has more than one output; train one model for each": m.output_dim != 1,
        "its inputs are uncertain": m.has_uncertain_inputs() if hasattr(m, "Z") else False,
        "its normalizer is not GPy's Standardize; use normalizer=True": m.normalizer is not None
        and type(m.normalizer) is not GPy.util.normalizer.Standardize,
        "it was trained with missing data; leave those rows out": m.posterior.woodbury_inv.ndim
        != 2,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"the model cannot be served: {reason}")


def stated_by(m: Any, input_offset: FloatArray, input_scale: FloatArray) -> Stated:
    """Return what a GPy model states: its hyperparameters, not its answers.

    Raises `ValueError`: the model cannot be served.
    """
    _refuse_unsupported(m)
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


def posterior_of(m: Any, feature_names: Sequence[str], output_name: str = "y") -> Posterior:
    """Return the posterior of a trained GPy model: its hyperparameters, conditioned by us.

    Raises `ValueError`: the model cannot be served, or its own answers are not those of its
    hyperparameters and data.
    """
    X, y = np.array(m.X, dtype=np.float64), np.array(m.Y, dtype=np.float64)
    check_feature_names(feature_names, X.shape[1])
    stated = stated_by(m, np.zeros(X.shape[1]), np.ones(X.shape[1]))
    posterior = condition(
        X, y[:, 0], stated, feature_names, output_name, trained_by=GPy.__version__
    )
    _compare(posterior, m)
    return posterior


def _compare(p: Posterior, m: Any) -> None:
    """Compare our answers with GPy's, within what both sides' rounding allows.

    GPy rounds r² by about ε|x/l|², since it computes |x|² - 2xz + |z|². An error δ in K changes a
    mean by up to ``|w|₁ |α|₁ δ`` with ``w = K⁻¹k``, and a variance by up to ``|w|₁² δ``.

    Raises `ValueError`: the difference is larger.
    """
    X = p.reference_X
    latent = type(m.likelihood) is not GPy.likelihoods.Gaussian
    theirs = np.hstack(m.predict_noiseless(X) if latent else m.predict(X))
    error = np.abs(theirs - p.reference_answers)
    allowed = 10 * _rounding_of_gpy(p) + 1e-7 * np.column_stack(
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
    U = p.reference_X
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


def make_kernel(text: str, input_dim: int, *, ard: bool = True) -> Any:
    """Return the GPy kernel for sums of products of known names, as ``"RBF * Linear + White"``."""
    terms = [_product(term, input_dim, ard) for term in text.split("+")]
    return terms[0] if len(terms) == 1 else GPy.kern.Add(terms)


def _product(text: str, input_dim: int, ard: bool) -> Any:
    factors = [_single(name.strip(), input_dim, ard) for name in text.split("*")]
    return factors[0] if len(factors) == 1 else GPy.kern.Prod(factors)


def _single(name: str, input_dim: int, ard: bool) -> Any:
    if name == "StdPeriodic":
        return GPy.kern.StdPeriodic(input_dim, ARD1=ard, ARD2=ard)
    options = {"ARD": ard} if name in FORMS or name == "Linear" else {}
    return getattr(GPy.kern, name)(input_dim, **options)


def optimise(m: Any, restarts: int, progress: Progress, max_iters: int) -> None:
    """Maximise the likelihood from several starts and keep the best.

    Raises `ValueError`: the optimiser failed from every start.
    """
    best: tuple[float, FloatArray] | None = None
    for start in range(restarts):
        if start:
            m.randomize()
        try:
            m.optimize(max_iters=max_iters)
            value = float(m.objective_function())
        except (np.linalg.LinAlgError, ArithmeticError):
            value = np.inf
        if np.isfinite(value) and (best is None or value < best[0]):
            best = value, m.optimizer_array.copy()
        progress(start + 1)
    if best is None:
        raise ValueError("the optimiser failed from every start; are the data degenerate?")
    m.optimizer_array = best[1]


def fit(
    X: FloatArray,
    y: FloatArray,
    options: TrainingOptions = DEFAULTS,
    feature_names: Sequence[str] = (),
    output_name: str = "y",
    *,
    kernel: Any = None,
    progress: Progress = lambda done: None,
) -> Posterior:
    """Train on X, shape (n, d), and y, shape (n,), both in raw units.

    Inputs and output are standardised first.

    Parameters
    ----------
    kernel : a GPy kernel, used instead of the one that `options` names
    progress : called after each restart with the number of finished restarts

    Raises `ValueError`: the kernel is unknown, an input is constant, there are too many rows for an
    exact GP, or the optimiser failed from every start.
    """
    names = tuple(feature_names or (f"x{i + 1}" for i in range(X.shape[1])))
    check_feature_names(names, X.shape[1])
    check_trainable(X, names, len(X), options)
    offset, scale = X.mean(axis=0), X.std(axis=0)
    state = np.random.get_state()  # GPy draws from NumPy's global generator
    np.random.seed(SEED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            m = _model((X - offset) / scale, y[:, None], kernel, options)
            max_iters = SPARSE_ITERATIONS if options.inducing else EXACT_ITERATIONS
            optimise(m, options.restarts, progress, max_iters)
    finally:
        np.random.set_state(state)
    stated = stated_by(m, offset, scale)
    return condition(X, y, stated, names, output_name, trained_by=GPy.__version__)


def _model(X: FloatArray, Y: FloatArray, kernel: Any, options: TrainingOptions) -> Any:
    if kernel is None:
        k = make_kernel(options.kernel, X.shape[1], ard=options.ard)
    else:
        k = kernel.copy()
    if not options.inducing:
        return GPy.models.GPRegression(X, Y, k, normalizer=True, noise_var=0.1)
    m = GPy.models.SparseGPRegression(X, Y, k, num_inducing=options.inducing, normalizer=True)
    m.likelihood.variance[:] = 0.1
    return m
