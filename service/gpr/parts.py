"""A posterior from its parts: data and hyperparameters that some other toolkit found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from service.gpr.conditioning import Stated, condition
from service.gpr.factors import Linear, Product, StdPeriodic
from service.gpr.kernels import Kernel
from service.gpr.means import Basis, Mean
from service.gpr.posterior import Posterior
from service.gpr.stationary import Stationary
from service.model import FloatArray


def posterior_of_parts(
    X: FloatArray,
    y: FloatArray,
    *,
    kernel: Kernel,
    noise: FloatArray,
    mean: Basis | Mean | float,
    feature_names: Sequence[str] | None,
    output_name: str,
    inputs: tuple[ArrayLike, ArrayLike],
    output: tuple[float, float],
    jitter: float,
    inducing_inputs: ArrayLike | None,
) -> Posterior:
    """Return the posterior; the arguments are those of `GPR.from_parts`.

    Parameters
    ----------
    inputs, output : offset and scale

    Raises `ValueError`: a shape or a number is wrong, or the kernel matrix is too close to singular
    for double precision.
    """
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    if X.ndim != 2 or y.shape != (len(X),) or not X.size:
        raise ValueError(f"X and y must have shapes (n, d) and (n,), not {X.shape} and {y.shape}")
    d = X.shape[1]
    _check_kernel(kernel, d)
    Z = np.zeros((0, d)) if inducing_inputs is None else np.array(inducing_inputs, dtype=np.float64)
    if Z.ndim != 2 or Z.shape[1] != d:
        raise ValueError(f"inducing_inputs must have shape (m, {d}), not {Z.shape}")
    stated = Stated(
        kernel=kernel,
        mean=_mean(mean, d),
        noise_variance=_not_negative("noise_variance", noise).item() if noise.ndim == 0 else 0.0,
        row_noise=_row_noise(noise, len(X)),
        jitter=_not_negative("jitter", np.array(jitter, dtype=np.float64)).item(),
        input_offset=per_input(inputs[0], d, "input_offset"),
        input_scale=_scale("input_scale", per_input(inputs[1], d, "input_scale")),
        output_offset=float(output[0]),
        output_scale=_scale("output_scale", np.array(output[1], dtype=np.float64)).item(),
        Z=Z,
    )
    names = tuple(feature_names or (f"x{i + 1}" for i in range(d)))
    return condition(X, y, stated, names, output_name)


def _check_kernel(kernel: Kernel, d: int) -> None:
    if not isinstance(kernel, Kernel):
        raise ValueError(
            f"kernel must be made of service.gpr.kernels, not {type(kernel).__name__}; for models "
            "of GPy and scikit-learn there are from_gpy and from_sklearn"
        )
    for term in kernel.terms:
        for factor in term.factors if isinstance(term, Product) else (term,):
            if (
                isinstance(factor, Stationary | Linear | StdPeriodic)
                and max(factor.active_dims) >= d
            ):
                raise ValueError(f"the kernel {factor.name} is for more than the {d} inputs of X")


def _mean(given: Basis | Mean | float, d: int) -> Mean:
    if isinstance(given, str):
        return Mean(given, np.zeros(0), estimated=given != "none")
    mean = given if isinstance(given, Mean) else Mean("constant", np.array([float(given)]))
    beta = np.array(mean.coefficients, dtype=np.float64).reshape(-1)
    if not mean.estimated and len(beta) != mean.size(d):
        raise ValueError(f"a known {mean.basis} mean of {d} inputs has {mean.size(d)} coefficients")
    return Mean(mean.basis, beta, mean.estimated, mean.centre)


def _row_noise(noise: FloatArray, n: int) -> FloatArray:
    if noise.ndim == 0:
        return np.zeros(0)
    if noise.shape != (n,):
        raise ValueError(f"noise_variance must be a number or have shape ({n},), not {noise.shape}")
    return _not_negative("noise_variance", noise)


def per_input(given: ArrayLike, d: int, what: str = "the offset or scale") -> FloatArray:
    """Return one number per input, shape (d,), from one number or d.

    Raises `ValueError`: there are others.
    """
    array = np.array(given, dtype=np.float64)
    if array.shape not in ((), (1,), (d,)):
        raise ValueError(f"{what} must be a number or have shape ({d},), not {array.shape}")
    return np.broadcast_to(array, d).copy()


def _not_negative(what: str, array: FloatArray) -> FloatArray:
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"{what} must be finite and not negative")
    return array


def _scale(what: str, array: FloatArray) -> FloatArray:
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{what} must be finite and positive")
    return array
