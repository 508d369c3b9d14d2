"""The posterior of stated hyperparameters and data, computed as well as float64 allows.

Whatever trained the model, what is served is computed here: K from differences, factored once, and
nothing squared that can be avoided.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from service.gpr.encoding import Encoding
from service.gpr.kernels import Kernel
from service.gpr.means import Mean, Trend
from service.gpr.posterior import Posterior
from service.gpr.trainingdata import option
from service.model import FloatArray, check_feature_names

MAX_CONDITION = 1e14
"""Kernel matrices with a larger condition number are refused: fewer than two digits of their
inverse would be right."""

BLOCK_ROWS = 4096
"""Rows of the data that a sparse GP takes at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stated:
    """What determines a posterior besides the data.

    Attributes
    ----------
    noise_variance : of every observation, in the model's units
    row_noise : shape (n,), the known noise variance of each row beyond that, in the model's units;
        empty for none
    jitter : added to the diagonal of the matrix that is factored
    input_offset, input_scale : shape (D,)
    Z : shape (m, D), inducing inputs in the model's units; empty for an exact GP
    """

    kernel: Kernel
    noise_variance: float
    input_offset: FloatArray
    input_scale: FloatArray
    output_offset: float = 0.0
    output_scale: float = 1.0
    mean: Mean = field(default_factory=Mean)
    row_noise: FloatArray = field(default_factory=lambda: np.zeros(0))
    jitter: float = 0.0
    Z: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True, eq=False)
class _Conditioned:
    X: FloatArray
    alpha: FloatArray
    C: FloatArray
    mean: Mean
    nugget: FloatArray


def condition(
    X: FloatArray,
    y: FloatArray,
    stated: Stated,
    feature_names: Sequence[str],
    output_name: str = "y",
    *,
    categories: dict[int, tuple[str, ...]] | None = None,
    trained_by: str = "",
) -> Posterior:
    """Return the posterior given X, shape (n, d), and y, shape (n,), both in raw units.

    Raises `ValueError`: a feature name cannot be used, a number is not finite, or the kernel matrix
    is too close to singular for double precision.
    """
    check_feature_names(feature_names, X.shape[1])
    encoding = Encoding(X.shape[1], categories or {})
    U = (encoding.expand(X) - stated.input_offset) / stated.input_scale
    v = (y - stated.output_offset) / stated.output_scale
    if not (np.isfinite(U).all() and np.isfinite(v).all()):
        raise ValueError("the training data have a number that is not finite")
    sparse = len(stated.Z) > 0
    found = _sparse(U, v, stated) if sparse else _exact(U, v, stated)
    posterior = Posterior(
        name="gp",
        feature_names=tuple(feature_names),
        output_name=output_name,
        kernel=stated.kernel,
        noise_variance=stated.noise_variance,
        input_offset=stated.input_offset,
        input_scale=stated.input_scale,
        output_offset=stated.output_offset,
        output_scale=stated.output_scale,
        inducing=sparse,
        X=found.X,
        alpha=found.alpha,
        factor=_packed(found.C),
        training_points=len(X),
        training_range=np.column_stack([X.min(axis=0), X.max(axis=0)]),
        reference_X=_reference_inputs(X, encoding),
        reference_answers=np.zeros((0, 2)),
        gpy_version=trained_by,
        data_sha256=hashlib.sha256(X.tobytes() + y.tobytes()).hexdigest(),
        created=created_now(),
        mean=found.mean,
        y=np.zeros(0) if sparse else v,
        nugget=found.nugget,
        jitter=stated.jitter,
        categories=dict(encoding.categories),
    )
    return replace(posterior, reference_answers=answers(posterior, posterior.reference_X, found.C))


def answers(p: Posterior, X: FloatArray, C: FloatArray | None = None) -> FloatArray:
    """Return mean and variance with noise at X, shape (n, 2), step by step as in the book.

    Rasmussen & Williams, equations 2.25, 2.26 and, for an estimated mean, 2.42.
    """
    C = p.triangle() if C is None else C
    U = p.model_units(p.encoding.expand(X))
    K = p.kernel.K(U, p.X)
    V = K @ C.T
    mean = p.mean.at(U) + K @ p.alpha
    variance = p.kernel.diagonal(U) - np.vecdot(V, V)
    if p.mean.estimated:
        T = Trend(p.mean.design(p.X), C).rows(p.mean.design(U), V, 1.0)
        variance += np.vecdot(T, T)
    variance = np.maximum(variance, p.least_variance) + p.noise_variance
    return np.column_stack([p.output_offset + p.output_scale * mean, p.output_scale**2 * variance])


def _exact(X: FloatArray, y: FloatArray, stated: Stated) -> _Conditioned:
    """Rasmussen & Williams, Algorithm 2.1, and section 2.7 for an estimated mean."""
    nugget = np.full(len(X), stated.noise_variance + stated.kernel.white + stated.jitter)
    if stated.row_noise.size:
        nugget += stated.row_noise
    K = stated.kernel.K(X, X)
    K[np.diag_indices_from(K)] += nugget
    C = _inverse_factor(K)
    mean = stated.mean
    if mean.estimated:
        mean = _estimated(mean, X, y, C)
    alpha = C.T @ (C @ (y - mean.at(X)))
    return _Conditioned(X, alpha, C, mean, nugget)


def _estimated(mean: Mean, X: FloatArray, y: FloatArray, C: FloatArray) -> Mean:
    """Return the mean with β of generalised least squares; equation 2.42 with B⁻¹ = 0."""
    mean = replace(mean, centre=X.mean(axis=0) if mean.basis == "linear" else np.zeros(0))
    return replace(mean, coefficients=Trend(mean.design(X), C).coefficients(C @ y))


def _sparse(X: FloatArray, y: FloatArray, stated: Stated) -> _Conditioned:
    """The variational posterior of Titsias 2009, without squaring K_ZX.

    With ``S = L⁻¹K_ZX/σ = U s Vᵀ`` it is ``woodbury_inv = L⁻ᵀ U diag(s²/(1 + s²)) Uᵀ L⁻¹``, whose
    factor is the R of a QR decomposition of ``diag(s/√(1 + s²)) Uᵀ L⁻¹``.
    """
    if stated.mean.estimated:
        raise ValueError("a sparse GP with an estimated mean is not supported: use an exact GP")
    Z, kernel = stated.Z, stated.kernel
    noise = np.full(len(X), stated.noise_variance)
    if stated.row_noise.size:
        noise += stated.row_noise
    # GPy's lower bound of a sparse GP's noise variance is its jitter, too.
    deviation = np.sqrt(np.maximum(noise, stated.jitter))
    K = kernel.K(Z, Z)
    K[np.diag_indices_from(K)] += kernel.white + stated.jitter
    inverse = _inverse_factor(K)
    residual = (y - stated.mean.at(X)) / deviation
    m = len(Z)
    R = np.zeros((0, m + 1))
    for i in range(0, len(X), BLOCK_ROWS):
        rows = slice(i, i + BLOCK_ROWS)
        S = (kernel.K(X[rows], Z) @ inverse.T) / deviation[rows, None]
        R = _upper(np.vstack([R, np.column_stack([S, residual[rows]])]))
    R = np.vstack([R, np.zeros((max(0, m - len(R)), m + 1))])
    P, s, Ut = np.linalg.svd(R[:m, :m])
    shrunk = (s / (1 + s**2)) * (P.T @ R[:m, m])
    alpha = inverse.T @ (Ut.T @ shrunk)
    B = (s / np.sqrt(1 + s**2))[:, None] * (Ut @ inverse)
    # With the columns in reverse order B = QR, and C is R with rows and columns reversed.
    C = np.ascontiguousarray(_upper(B[:, ::-1])[::-1, ::-1])
    return _Conditioned(Z, alpha, C, stated.mean, np.zeros(0))


def _upper(A: FloatArray) -> FloatArray:
    """Return the R of a QR decomposition."""
    R: FloatArray = np.asarray(np.linalg.qr(A, mode="r"))
    return R


def _inverse_factor(K: FloatArray) -> FloatArray:
    """Return L⁻¹ of K = LLᵀ, shape (N, N); K is overwritten.

    Raises `ValueError`: K is singular in double precision.
    """
    from scipy.linalg import lapack  # absent where models are only served

    largest = _largest_eigenvalue(lambda v: K @ v, len(K))
    L, failed = lapack.dpotrf(K.T, lower=1, overwrite_a=1)
    if failed:
        raise ValueError(_singular(np.inf, largest))
    C, _ = lapack.dtrtri(L, lower=1, overwrite_c=1)
    condition_number = largest * _largest_eigenvalue(lambda v: C.T @ (C @ v), len(C))
    if not condition_number <= MAX_CONDITION:
        raise ValueError(_singular(condition_number, largest))
    return np.asarray(C, dtype=np.float64)


def _singular(condition_number: float, largest: float) -> str:
    size = (
        f"condition number {condition_number:.0e}" if np.isfinite(condition_number) else "singular"
    )
    return (
        f"the kernel matrix cannot be inverted in double precision ({size}; at most "
        f"{MAX_CONDITION:.0e} is accepted): rows are too nearly equal for so little noise. Give "
        f"the model a noise variance of at least {10 * largest / MAX_CONDITION:.1g} in its own "
        f"units, as a training with {option('noise', 'auto')} does, or leave out rows that are "
        "nearly the same"
    )


def _largest_eigenvalue(product: Callable[[FloatArray], FloatArray], size: int) -> float:
    """Return the largest eigenvalue of a symmetric matrix, by ten steps of the power method."""
    v = np.random.default_rng(0).standard_normal(size)
    value = 0.0
    for _ in range(10):
        v /= np.linalg.norm(v)
        v = product(v)
        value = float(np.linalg.norm(v))
        if not value:
            break
    return value


def _packed(C: FloatArray) -> FloatArray:
    return np.concatenate([row[: i + 1] for i, row in enumerate(C)])


def _reference_inputs(X: FloatArray, encoding: Encoding, count: int = 8) -> FloatArray:
    """Return reference points: training rows, points among and around them, one far away."""
    low, high = X.min(axis=0), X.max(axis=0)
    reach = np.where(high > low, high - low, 1)
    rows = X[np.linspace(0, len(X) - 1, count).astype(int)]
    around = np.random.default_rng(0).uniform(low - 0.2 * reach, high + 0.2 * reach, rows.shape)
    far = high + 100 * reach
    for i in encoding.categories:
        around[:, i], far[i] = rows[:, i], rows[0, i]
    return np.vstack([rows, around, far])


def created_now() -> str:
    """Return date and time in UTC, or those of SOURCE_DATE_EPOCH for a reproducible file."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.isoformat(timespec="seconds")
