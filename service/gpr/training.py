"""Training by GPy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import GPy
import numpy as np
from numpy.typing import NDArray

from service.gpr import kerneltext
from service.gpr.calibration import calibrated
from service.gpr.conditioning import Stated, condition
from service.gpr.encoding import Encoding
from service.gpr.fromgpy import stated_by
from service.gpr.kernels import Kernel
from service.gpr.means import Mean
from service.gpr.optimising import FINE, GPY_JITTER, ROUGH, explore, polish
from service.gpr.posterior import Posterior
from service.gpr.scaling import Standardised, without_rounding
from service.gpr.stationary import FORMS
from service.gpr.trainingdata import (
    Progress,
    TrainingOptions,
    check_outputs,
    check_trainable,
    noise_share,
)
from service.model import FloatArray, check_feature_names

SEED = 0
"""For samples of rows and inducing inputs: the same data give the same model."""

DEFAULTS = TrainingOptions(restarts=5)

EXPLORED, OPTIMISED = 500, 2500
"""Every start is followed on a sample of so many rows, and the best one then on so many more. The
posterior is always that of all rows."""

LEAST_FIXED = 1e-12


def make_kernel(
    text: str, input_dim: int, *, ard: bool = True, active_dims: Sequence[int] | None = None
) -> Any:
    """Return the GPy kernel for sums of products of known names, as ``"RBF * Linear + White"``.

    Raises `ValueError`: the text cannot be read, or has an unknown name.
    """

    def single(name: str) -> Any:
        given: dict[str, Any] = {"active_dims": active_dims}
        if name == "StdPeriodic":
            given |= {"ARD1": ard, "ARD2": ard}
        elif name in FORMS or name == "Linear":
            given["ARD"] = ard
        return getattr(GPy.kern, name)(input_dim, **given)

    return kerneltext.build(text, single)


def fit(
    X: FloatArray,
    y: FloatArray,
    options: TrainingOptions = DEFAULTS,
    feature_names: Sequence[str] = (),
    output_name: str = "y",
    *,
    categories: Mapping[int, tuple[str, ...]] | None = None,
    row_noise: FloatArray | None = None,
    kernel: Any = None,
    progress: Progress = lambda done: None,
) -> Posterior:
    """Train on X, shape (n, d), and y, shape (n,), both in raw units.

    Inputs and output are standardised; then the hyperparameters are those of the largest posterior
    density (see `optimising`), and the variance is calibrated by leave-one-out (see `calibration`).

    Parameters
    ----------
    categories : the words of each categorical input, whose codes X has
    row_noise : shape (n,), the known noise variance of each row, in raw units
    kernel : a GPy kernel, used instead of the one that `options` names
    progress : called after each restart with the number of finished restarts

    Raises `ValueError`: the kernel is unknown, there are too many rows for an exact GP, the data
    cannot be fitted, or the optimiser failed from every start.
    """
    names = tuple(feature_names or (f"x{i + 1}" for i in range(X.shape[1])))
    check_feature_names(names, X.shape[1])
    check_trainable(X, names, len(X), options, known_noise=row_noise is not None)
    check_outputs(X, y, options)
    noise = np.zeros(0) if row_noise is None else row_noise
    X, words = without_rounding(X), dict(categories or {})
    units = Standardised(Encoding(X.shape[1], words).expand(X), y, noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GPy's, of overflow, and of inputs that are not used
        m = _optimised(units, kernel, options, progress)
    stated = _stated(m, units, options)
    version = GPy.__version__
    posterior = condition(X, y, stated, names, output_name, categories=words, trained_by=version)
    if noise_share(options.noise):
        return posterior  # whose noise is as stated
    return calibrated(posterior, hyperparameters=m.kern.size + 1)


def _optimised(
    units: Standardised, kernel: Any, options: TrainingOptions, progress: Progress
) -> Any:
    """Return the GPy model with its best hyperparameters."""
    explored = _exact_model(units, _sample(len(units.v), EXPLORED), kernel, options)
    final = len(explored.X) == len(units.v) and not options.inducing
    tolerance = FINE if final else ROUGH
    explore(
        explored, options.restarts, given=kernel is not None, tolerance=tolerance, progress=progress
    )
    if final:
        return explored
    if options.inducing:
        m = _sparse_model(units, explored.kern, options)
    else:
        m = _exact_model(units, _sample(len(units.v), OPTIMISED), kernel, options)
    polish(m, explored)
    return m


def _sample(n: int, size: int) -> NDArray[np.int64]:
    """Return `size` of n rows, or all, in their order."""
    return np.sort(np.random.default_rng(SEED).permutation(n)[:size])


def _exact_model(
    units: Standardised, rows: NDArray[np.int64], kernel: Any, options: TrainingOptions
) -> Any:
    U, v = units.U[rows], units.v[rows, None]
    k = _kernel(units, kernel, options)
    mean = _mean_function(options.mean, U, v)
    share = noise_share(options.noise)
    if not units.row_noise.size:
        m = GPy.models.GPRegression(U, v, k, mean_function=mean)
        _set_noise(m.likelihood, share)
        return m
    # White is the noise that all rows have, beside the known noise of each.
    k = GPy.kern.Add([k, GPy.kern.White(U.shape[1])])
    _set_noise(k.parts[-1], share)
    metadata = {"output_index": np.arange(len(rows))[:, None]}
    m = GPy.models.GPHeteroscedasticRegression(U, v, k, metadata, mean_function=mean)
    m.likelihood.variance[:] = units.row_noise[rows, None]
    m.likelihood.variance.fix()
    return m


def _kernel(units: Standardised, kernel: Any, options: TrainingOptions) -> Any:
    if kernel is not None:
        return kernel.copy()
    used = units.varying
    return make_kernel(options.kernel, len(used), ard=options.ard, active_dims=used.tolist())


def _set_noise(owner: Any, share: float | None) -> None:
    """Fix the noise at this share of the output's variance, of which GPy adds a part by itself."""
    if share is not None:
        owner.variance.fix(max(share - GPY_JITTER, LEAST_FIXED))


def _mean_function(basis: str, U: FloatArray, v: FloatArray) -> Any:
    """Return GPy's mean function, with the coefficients of least squares."""
    if basis == "none":
        return None
    constant = GPy.mappings.Constant(U.shape[1], 1)
    if basis == "constant":
        return constant
    linear = GPy.mappings.Linear(U.shape[1], 1)
    linear.A[:] = np.linalg.lstsq(U, v, rcond=1e-6)[0]
    return GPy.mappings.Additive(linear, constant)


def _sparse_model(units: Standardised, kernel: Any, options: TrainingOptions) -> Any:
    different = np.unique(units.U, axis=0)
    Z = different[_sample(len(different), options.inducing)]
    m = GPy.models.SparseGPRegression(units.U, units.v[:, None], kernel.copy(), Z=Z)
    _set_noise(m.likelihood, noise_share(options.noise))
    return m


def _stated(m: Any, units: Standardised, options: TrainingOptions) -> Stated:
    """Return the hyperparameters in our terms: what GPy adds to the diagonal is noise, too."""
    stated = replace(
        stated_by(m, units.offset, units.scale),
        output_offset=units.output_offset,
        output_scale=units.output_scale,
    )
    if options.mean != "none":
        stated = replace(stated, mean=Mean(options.mean, estimated=True))
    if options.inducing:
        return stated
    stated = replace(stated, jitter=0.0, noise_variance=stated.noise_variance + GPY_JITTER)
    if units.row_noise.size:
        terms = stated.kernel.terms
        noise = stated.noise_variance + Kernel(terms[-1:]).white
        stated = replace(
            stated,
            kernel=Kernel(terms[:-1]),
            noise_variance=noise,
            row_noise=units.row_noise,
        )
    return stated
