"""Everything that needs GPy: training, and conversion of the models that it trained."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import GPy
import numpy as np

from service.gpr.kernels import FORMS, SUPPORTED, Bias, Kernel, Stationary, Term, White
from service.gpr.posterior import Posterior
from service.gpr.trainingdata import Progress, TrainingOptions, check_trainable
from service.model import FloatArray, check_feature_names

SEED = 0
"""For restarts and inducing inputs: the same data give the same model."""

DEFAULTS = TrainingOptions(restarts=5)

EXACT_ITERATIONS = 1000

SPARSE_ITERATIONS = 200
"""Each iteration moves all inducing inputs; the bound gains little after this many."""


def terms_of(kernel: Any) -> list[Term]:
    """Return the terms of a GPy kernel.

    Raises `ValueError`: the kernel is unsupported; the message names it.
    """
    kind = type(kernel)
    if kind is GPy.kern.Add:
        return [term for part in kernel.parts for term in terms_of(part)]
    if kind is GPy.kern.Bias:
        return [Bias(float(kernel.variance[0]))]
    if kind is GPy.kern.White:
        return [White(float(kernel.variance[0]))]
    if kind.__name__ not in FORMS or kind is not getattr(GPy.kern, kind.__name__):
        raise ValueError(
            f"unsupported kernel {kernel.name!r} ({kind.__name__}); supported: {SUPPORTED}"
        )
    return [
        Stationary(
            kind.__name__,
            float(kernel.variance[0]),
            np.array(kernel.lengthscale, dtype=np.float64).reshape(-1),
            np.array(kernel._all_dims_active, dtype=np.int64),
        )
    ]


def _refuse_unsupported(m: Any) -> None:
    reasons = {
        "its likelihood is not Gaussian": type(m.likelihood) is not GPy.likelihoods.Gaussian,
        "it has a mean function": m.mean_function is not None,
        "it has more than one output": m.output_dim != 1,
        "its inputs are uncertain": m.has_uncertain_inputs() if hasattr(m, "Z") else False,
        "its normalizer is not GPy's Standardize": m.normalizer is not None
        and type(m.normalizer) is not GPy.util.normalizer.Standardize,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"the model cannot be served: {reason}")
    if m.posterior.woodbury_inv.ndim != 2:
        raise ValueError("the model cannot be served: it was trained with missing data")


def _packed(C: FloatArray) -> FloatArray:
    return np.concatenate([row[: i + 1] for i, row in enumerate(C)])


def factor_of(posterior: Any) -> FloatArray:
    """Return the lower triangular C with ``woodbury_inv = CᵀC``, shape (N, N).

    For an exact GP it is L⁻¹. A sparse GP has only ``woodbury_inv = U Λ Uᵀ``: with the columns of
    B = Λ^½Uᵀ in reverse order, B = QR, and C is R with its rows and columns reversed.
    """
    if type(posterior).__name__ == "PosteriorExact":
        L = posterior.woodbury_chol
        return np.asarray(GPy.util.linalg.dtrtri(L), dtype=np.float64)
    values, U = np.linalg.eigh(posterior.woodbury_inv)
    B = np.sqrt(np.maximum(values, 0))[:, None] * U.T
    R: FloatArray = np.asarray(np.linalg.qr(B[:, ::-1], mode="r"))
    return R[::-1, ::-1]


def reference_inputs(X: FloatArray, count: int = 8) -> FloatArray:
    """Return reference points: training rows, points among and around them, one far away."""
    low, high = X.min(axis=0), X.max(axis=0)
    reach = np.where(high > low, high - low, 1)
    rows = X[np.linspace(0, len(X) - 1, count).astype(int)]
    around = np.random.default_rng(SEED).uniform(low - 0.2 * reach, high + 0.2 * reach, rows.shape)
    return np.vstack([rows, around, high + 100 * reach])


def created_now() -> str:
    """Return date and time in UTC, or those of SOURCE_DATE_EPOCH for a reproducible file."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.isoformat(timespec="seconds")


def posterior_of(
    m: Any,
    feature_names: Sequence[str],
    output_name: str = "y",
    *,
    input_offset: FloatArray | None = None,
    input_scale: FloatArray | None = None,
) -> Posterior:
    """Return everything that prediction needs from a trained GPy model.

    Parameters
    ----------
    input_offset, input_scale : shape (d,), m's inputs are
        ``(x - input_offset) / input_scale`` of raw inputs x

    Raises `ValueError`: the model cannot be served.
    """
    _refuse_unsupported(m)
    X = np.array(m.X, dtype=np.float64)
    d = X.shape[1]
    check_feature_names(feature_names, d)
    offset = np.zeros(d) if input_offset is None else input_offset
    scale = np.ones(d) if input_scale is None else input_scale
    inducing = hasattr(m, "Z")
    reference = reference_inputs(X)
    raw = X * scale + offset
    y_offset, y_scale = (m.normalizer.mean, m.normalizer.std) if m.normalizer else (0.0, 1.0)
    digest = hashlib.sha256(raw.tobytes() + np.array(m.Y, dtype=np.float64).tobytes()).hexdigest()
    return Posterior(
        name="gp",
        feature_names=tuple(feature_names),
        output_name=output_name,
        kernel=Kernel(tuple(terms_of(m.kern))),
        noise_variance=float(m.likelihood.variance[0]),
        input_offset=np.array(offset, dtype=np.float64),
        input_scale=np.array(scale, dtype=np.float64),
        output_offset=float(np.squeeze(y_offset)),
        output_scale=float(np.squeeze(y_scale)),
        inducing=inducing,
        X=np.array(m.Z if inducing else m.X, dtype=np.float64),
        alpha=np.array(m.posterior.woodbury_vector, dtype=np.float64).reshape(-1),
        factor=_packed(factor_of(m.posterior)),
        training_points=len(X),
        training_range=np.column_stack([raw.min(axis=0), raw.max(axis=0)]),
        reference_X=reference * scale + offset,
        reference_answers=np.hstack(m.predict(reference)),
        gpy_version=GPy.__version__,
        data_sha256=digest,
        created=created_now(),
    )


def make_kernel(text: str, input_dim: int, *, ard: bool = True) -> Any:
    """Return the GPy kernel for a sum of known names, as in ``"Matern52 + White"``."""
    kernels: list[Any] = []
    for name in (part.strip() for part in text.split("+")):
        if name in FORMS:
            kernels.append(getattr(GPy.kern, name)(input_dim, ARD=ard))
        else:
            kernels.append(getattr(GPy.kern, name)(input_dim))
    return kernels[0] if len(kernels) == 1 else GPy.kern.Add(kernels)


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
    return posterior_of(m, names, output_name, input_offset=offset, input_scale=scale)


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
