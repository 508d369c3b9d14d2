"""Models of other toolkits: a fitted scikit-learn regressor as data, hyperparameters and units.

scikit-learn is never imported. Its objects are recognised by the names of their classes, and read
by the attributes that it documents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from service.gpr import kernels
from service.gpr.conditioning import Stated, condition
from service.gpr.factors import Bias, Linear, Product, Term, White
from service.gpr.kernels import Kernel
from service.gpr.posterior import Posterior
from service.model import FloatArray

MAX_TERMS = 64
"""The most terms that a kernel may have once its products are expanded."""

_MATERN = {
    0.5: kernels.Exponential,
    1.5: kernels.Matern32,
    2.5: kernels.Matern52,
    math.inf: kernels.RBF,
}


def posterior_of_sklearn(
    model: Any, feature_names: Sequence[str] | None = None, output_name: str = "y"
) -> Posterior:
    """Return everything that prediction needs from a fitted ``GaussianProcessRegressor``.

    WhiteKernel becomes the noise variance; alpha is added to the diagonal of the training rows and
    is not part of a predictive variance, as in scikit-learn.

    Parameters
    ----------
    model : the regressor; or a Pipeline that ends in one, after scalers; or a
        TransformedTargetRegressor of either; or a search over any of these
    feature_names : default those of the DataFrame that the model was fitted to, or x1 … xd

    Raises `ValueError`: the model is not fitted, has several outputs, or has a step or a kernel
    that cannot be served; the message names it and says what to do instead.
    """
    gpr, stated = _read(model)
    U, v = np.array(gpr.X_train_, dtype=np.float64), np.array(gpr.y_train_, dtype=np.float64)
    names = feature_names or getattr(model, "feature_names_in_", None)
    if names is None:
        names = [f"x{i + 1}" for i in range(U.shape[1])]
    return condition(
        U * stated.input_scale + stated.input_offset,
        v.reshape(-1) * stated.output_scale + stated.output_offset,
        stated,
        [str(name) for name in names],
        output_name,
        trained_by="scikit-learn",
    )


def _read(model: Any) -> tuple[Any, Stated]:
    """Return the regressor inside of a model, and what determines its posterior."""
    kind = _kind(model)
    if kind == "GaussianProcessRegressor":
        return model, _stated(model)
    if kind == "Pipeline":
        return _pipeline(model)
    if kind == "TransformedTargetRegressor":
        return _transformed_target(model)
    if hasattr(model, "best_estimator_"):
        return _read(model.best_estimator_)
    if kind in ("GridSearchCV", "RandomizedSearchCV"):
        _refuse(f"{kind} is not fitted", "Call fit first, with refit=True.")
    return _refuse(
        f"{kind} is not a Gaussian process regressor",
        "Give a GaussianProcessRegressor, or a Pipeline or TransformedTargetRegressor of one; the "
        "numbers of any other Gaussian process can be given to GPR.from_parts.",
    )


def _kind(thing: Any) -> str:
    """Return the name of a class of scikit-learn's; of any other class with its module."""
    kind = type(thing)
    if kind.__module__.partition(".")[0] == "sklearn":
        return kind.__name__
    return f"{kind.__module__}.{kind.__qualname__}"


def _refuse(what: str, instead: str) -> NoReturn:
    raise ValueError(f"the model cannot be served: {what}. {instead}")


def _stated(gpr: Any) -> Stated:
    if not hasattr(gpr, "X_train_"):
        _refuse("it is not fitted", "Call fit first.")
    X, outputs = np.asarray(gpr.X_train_), np.asarray(gpr.y_train_)
    if outputs.ndim > 1 and outputs.shape[1] > 1:
        _refuse(f"it has {outputs.shape[1]} outputs", "Fit and publish one model per output.")
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        _refuse("its inputs are not a table of numbers", "Fit it to numbers of shape (n, d).")
    d = X.shape[1]
    kernel = _kernel(gpr.kernel_, d)
    latent = tuple(term for term in kernel.functions if not _is_zero(term))
    if not latent:
        _refuse(f"its kernel {gpr.kernel_} is noise only", "Add a kernel that depends on x.")
    return Stated(
        kernel=Kernel(latent),
        noise_variance=kernel.white,
        row_noise=np.array(np.broadcast_to(gpr.alpha, len(X)), dtype=np.float64),
        input_offset=np.zeros(d),
        input_scale=np.ones(d),
        output_offset=float(np.squeeze(gpr._y_train_mean)),
        output_scale=float(np.squeeze(gpr._y_train_std)),
    )


def _pipeline(model: Any) -> tuple[Any, Stated]:
    *scalers, last = (step for _, step in model.steps)
    gpr, stated = _read(last)
    for scaler in reversed(scalers):
        if scaler is not None and not isinstance(scaler, str):  # "passthrough"
            offset, scale = _scaling(scaler, len(stated.input_scale))
            stated = replace(
                stated,
                input_offset=offset + scale * stated.input_offset,
                input_scale=scale * stated.input_scale,
            )
    return gpr, stated


def _transformed_target(model: Any) -> tuple[Any, Stated]:
    if not hasattr(model, "regressor_"):
        _refuse("it is not fitted", "Call fit first.")
    gpr, stated = _read(model.regressor_)
    offset, scale = _scaling(model.transformer_, 1)
    return gpr, replace(
        stated,
        output_offset=float(offset[0] + scale[0] * stated.output_offset),
        output_scale=float(scale[0] * stated.output_scale),
    )


def _scaling(scaler: Any, d: int) -> tuple[FloatArray, FloatArray]:
    """Return offset and scale of a scaler that computes ``(x - offset) / scale``, shapes (d,)."""
    kind = _kind(scaler)
    if kind not in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"):
        _refuse(
            f"{kind} does more than subtract and divide",
            "Apply it to the data first, fit the model to its results, and let callers send and "
            "receive those; or use StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler.",
        )
    if getattr(scaler, "clip", False):
        _refuse(f"{kind} clips values", "Fit again with clip=False.")
    if not hasattr(scaler, "n_features_in_"):
        _refuse(f"{kind} is not fitted", "Call fit first.")
    if kind == "MinMaxScaler":
        return -scaler.min_ / scaler.scale_, 1 / scaler.scale_
    offset = getattr(scaler, {"StandardScaler": "mean_"}.get(kind, "center_"), None)
    with_offset = getattr(scaler, "with_mean", getattr(scaler, "with_centering", True))
    return (
        np.zeros(d) if offset is None or not with_offset else np.array(offset, dtype=np.float64),
        np.ones(d) if scaler.scale_ is None else np.array(scaler.scale_, dtype=np.float64),
    )


def _kernel(kernel: Any, d: int) -> Kernel:
    """Return a kernel of scikit-learn's over d inputs, multiplied out."""
    kind = _kind(kernel)
    if kind == "Sum":
        return _bounded(_kernel(kernel.k1, d) + _kernel(kernel.k2, d), kernel)
    if kind == "Product":
        return _product(_kernel(kernel.k1, d), _kernel(kernel.k2, d), kernel)
    if kind == "Exponentiation":
        return _power(kernel, d)
    if kind == "ConstantKernel":
        return kernels.Bias(d, float(kernel.constant_value))
    if kind == "WhiteKernel":
        return kernels.White(d, float(kernel.noise_level))
    if kind == "DotProduct":
        return kernels.Linear(d) + kernels.Bias(d, float(kernel.sigma_0) ** 2)
    return _stationary(kernel, kind, d)


def _stationary(kernel: Any, kind: str, d: int) -> Kernel:
    if kind == "RBF":
        return kernels.RBF(d, 1.0, kernel.length_scale)
    if kind == "Matern":
        make = _MATERN.get(float(kernel.nu))
        if make is None:
            _refuse(
                f"nu is {kernel.nu:g} in the kernel {kernel}",
                "Fit again with nu 0.5, 1.5, 2.5 or inf (the RBF).",
            )
        return make(d, 1.0, kernel.length_scale)
    if kind == "RationalQuadratic":  # (1 + r²/2αl²)^-α, where GPy has (1 + r²/2l²)^-α
        alpha = float(kernel.alpha)
        return kernels.RatQuad(d, 1.0, kernel.length_scale * math.sqrt(alpha), alpha)
    if kind == "ExpSineSquared":
        return kernels.ExpSineSquared(d, 1.0, float(kernel.length_scale), float(kernel.periodicity))
    return _refuse(
        f"its kernel has {kind}",
        "Fit again with sums and products of ConstantKernel, RBF, Matern, RationalQuadratic, "
        "ExpSineSquared, DotProduct and WhiteKernel.",
    )


def _power(kernel: Any, d: int) -> Kernel:
    exponent = kernel.exponent
    if exponent != int(exponent) or exponent < 1:
        _refuse(f"the exponent of {kernel} is {exponent}", "Fit again with a positive integer.")
    base = result = _kernel(kernel.kernel, d)
    for _ in range(int(exponent) - 1):
        result = _product(result, base, kernel)
    return result


def _product(left: Kernel, right: Kernel, kernel: Any) -> Kernel:
    _check_size(len(left.terms) * len(right.terms), kernel)
    try:
        return Kernel(tuple(map(_folded, (left * right).terms)))
    except ValueError as error:
        _refuse(f"{error} ({kernel})", "Fit again with the WhiteKernel added, not multiplied.")


def _bounded(found: Kernel, kernel: Any) -> Kernel:
    _check_size(len(found.terms), kernel)
    return found


def _check_size(terms: int, kernel: Any) -> None:
    if terms > MAX_TERMS:
        _refuse(
            f"{kernel} has {terms} terms when it is multiplied out, more than {MAX_TERMS}",
            "Fit again with fewer sums inside products, or with a smaller exponent.",
        )


def _folded(term: Term) -> Term:
    """Return a product without constant factors: they become part of the first one's variance."""
    if not isinstance(term, Product):
        return term
    constant = math.prod(factor.variance for factor in term.factors if isinstance(factor, Bias))
    others = [factor for factor in term.factors if not isinstance(factor, Bias)]
    if not others:
        return Bias(constant)
    first = others[0]
    if isinstance(first, Linear):
        others[0] = replace(first, variances=first.variances * constant)
    else:
        others[0] = replace(first, variance=first.variance * constant)
    return others[0] if len(others) == 1 else Product(tuple(others))


def _is_zero(term: Term) -> bool:
    return isinstance(term, Bias | White) and term.variance == 0
