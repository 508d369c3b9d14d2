"""Training by GPy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import GPy
import numpy as np

from service.gpr.conditioning import condition
from service.gpr.fromgpy import stated_by
from service.gpr.posterior import Posterior
from service.gpr.stationary import FORMS
from service.gpr.trainingdata import Progress, TrainingOptions, check_trainable
from service.model import FloatArray, check_feature_names

SEED = 0
"""For restarts and inducing inputs: the same data give the same model."""

DEFAULTS = TrainingOptions(restarts=5)

EXACT_ITERATIONS = 1000

SPARSE_ITERATIONS = 200
"""Each iteration moves all inducing inputs; the bound gains little after this many."""


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
