"""Gaussian process regression: the `Model` that GPy trains and that is served without it."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from service.gpr import derivatives, native, validation
from service.gpr import file as modelfile
from service.gpr.compiled import CompiledPredictor
from service.gpr.frames import as_points
from service.gpr.kernels import Kernel
from service.gpr.means import Basis, Mean
from service.gpr.parts import posterior_of_parts
from service.gpr.posterior import Posterior
from service.gpr.predictor import Predictor
from service.gpr.sampling import (
    Drawing,
    PathwiseDraws,
    blocks,
    joint_draws,
    numbers_per_draw,
)
from service.gpr.tiles import TiledPredictor
from service.gpr.toolkits import posterior_of_sklearn
from service.model import (
    Description,
    Diagnostics,
    FloatArray,
    Model,
    ModelFileError,
    check_model_name,
    version_of,
    write_file,
)

_FLOAT64 = np.dtype(np.float64)

RECENT_DRAWS = 2
"""Sets of draws to keep, so that the pieces of a large array share them."""


class GPR(Model):
    """A Gaussian process over `input_dim` inputs.

    Parameters
    ----------
    input_dim : d
    kernel : what `fit` trains: sums and products by name, as in ``"Matern52 + White"`` (one
        lengthscale per input), or a GPy kernel
    feature_names : default x1 … xd
    output_name : default y
    """

    def __init__(
        self,
        input_dim: int,
        kernel: Any = "RBF",
        *,
        feature_names: Sequence[str] | None = None,
        output_name: str = "y",
    ) -> None:
        self.input_dim = input_dim
        self.kernel = kernel
        self.feature_names = tuple(feature_names or (f"x{i + 1}" for i in range(input_dim)))
        self.output_name = output_name
        self._posterior: Posterior | None = None
        self._recent: dict[tuple[int, int], PathwiseDraws] = {}
        self._few, self._many = threading.Lock(), threading.Lock()

    @classmethod
    def from_posterior(cls, posterior: Posterior) -> Self:
        """Return a trained model with this posterior."""
        return cls(len(posterior.feature_names))._adopt(posterior, modelfile.encode(posterior))

    @classmethod
    def from_gpy(
        cls,
        m: Any,
        feature_names: Sequence[str],
        output_name: str = "y",
        *,
        name: str = "gp",
        input_offset: ArrayLike = 0.0,
        input_scale: ArrayLike = 1.0,
        output_offset: float = 0.0,
        output_scale: float = 1.0,
    ) -> Self:
        """Return a model from a trained ``GPy.models.GPRegression`` or ``SparseGPRegression``.

        Callers use raw units. Where X or Y were standardised before GPy saw them, the offsets and
        scales say how: ``(x - input_offset) / input_scale``.

        Parameters
        ----------
        name : the model's name in all protocols
        input_offset, input_scale : a number, or shape (d,)

        Raises `ValueError`: the model has something unsupported (another kernel or likelihood,
        several outputs), or a name cannot be used.
        """
        from service.gpr.fromgpy import posterior_of  # GPy may be absent where models are served

        check_model_name(name)
        posterior = posterior_of(
            m,
            feature_names,
            output_name,
            inputs=(input_offset, input_scale),
            output=(output_offset, output_scale),
        )
        return cls.from_posterior(replace(posterior, name=name))

    @classmethod
    def from_sklearn(
        cls, model: Any, feature_names: Sequence[str] | None = None, output_name: str = "y"
    ) -> Self:
        """Return a model from a fitted ``GaussianProcessRegressor`` of scikit-learn.

        Parameters
        ----------
        model : the regressor; or a Pipeline that ends in one, after scalers; or a
            TransformedTargetRegressor of either; or a search over any of these
        feature_names : default those of the DataFrame that it was fitted to, or x1 … xd

        Raises `ValueError`: the model is not fitted, has several outputs, or has a step or a kernel
        that cannot be served; the message names it and says what to do instead.
        """
        return cls.from_posterior(posterior_of_sklearn(model, feature_names, output_name))

    @classmethod
    def from_parts(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        *,
        kernel: Kernel,
        noise_variance: ArrayLike,
        mean: Basis | Mean | float = "none",
        feature_names: Sequence[str] | None = None,
        output_name: str = "y",
        name: str = "gp",
        input_offset: ArrayLike = 0.0,
        input_scale: ArrayLike = 1.0,
        output_offset: float = 0.0,
        output_scale: float = 1.0,
        jitter: float = 0.0,
        inducing_inputs: ArrayLike | None = None,
    ) -> Self:
        """Return the model of hyperparameters that another toolkit found, and the data.

        Hyperparameters are in the model's units, which are ``(x - input_offset) / input_scale`` and
        ``(y - output_offset) / output_scale``; data and answers are in raw units.

        Parameters
        ----------
        X, y : shapes (n, d) and (n,), the training data
        kernel : from `service.gpr.kernels`, as in ``RBF(2, variance=3, lengthscale=[0.3, 1])``
        noise_variance : of every observation, or shape (n,): the known one of each row. Then the
            variance at a new point has no noise
        mean : ``"constant"`` or ``"linear"`` is estimated, as in universal kriging; a number is a
            known constant; `Mean` is any other
        input_offset, input_scale : a number, or shape (d,)
        jitter : added to the diagonal of the kernel matrix; no part of the noise
        inducing_inputs : shape (m, d), in the model's units, for a sparse GP (Titsias 2009)

        Raises `ValueError`: a shape or a number is wrong, or the kernel matrix is too close to
        singular for double precision.
        """
        check_model_name(name)
        posterior = posterior_of_parts(
            np.array(X, dtype=np.float64),
            np.array(y, dtype=np.float64),
            kernel=kernel,
            noise=np.array(noise_variance, dtype=np.float64),
            mean=mean,
            feature_names=feature_names,
            output_name=output_name,
            inputs=(input_offset, input_scale),
            output=(output_offset, output_scale),
            jitter=jitter,
            inducing_inputs=inducing_inputs,
        )
        return cls.from_posterior(replace(posterior, name=name))

    def _adopt(self, posterior: Posterior, data: bytes) -> Self:
        self._posterior = posterior
        self._recent = {}
        self.input_dim = len(posterior.feature_names)
        self.kernel = posterior.kernel.name
        self.feature_names, self.output_name = posterior.feature_names, posterior.output_name
        self._encoding = posterior.encoding if posterior.categories else None
        self._predictor = _predictor(posterior)
        self.arithmetic = self._predictor.arithmetic
        self.draw_size = numbers_per_draw(posterior)
        variance = posterior.output_scale**2
        self._floor = variance * posterior.least_variance
        self._noise = variance * posterior.noise_variance
        modelfile.verify(posterior, self.predict, self._predictor.ways)
        described = posterior.description(version_of(io.BytesIO(data)))
        self.description: Description = replace(described, scores=validation.described(posterior))
        return self

    @property
    def posterior(self) -> Posterior:
        """The trained GP."""
        if self._posterior is None:
            raise ValueError("the model is not trained: call fit, load or from_gpy")
        return self._posterior

    @property
    def trained(self) -> bool:
        """Whether `predict` can be called."""
        return self._posterior is not None

    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        """Train with GPy on X, shape (n, d), and y, shape (n,)."""
        from service.gpr.training import DEFAULTS, fit  # GPy may be absent where models are served

        options, kernel = DEFAULTS, self.kernel
        if isinstance(kernel, str):
            options, kernel = msgspec.structs.replace(DEFAULTS, kernel=kernel), None
        posterior = fit(X, y, options, self.feature_names, self.output_name, kernel=kernel)
        return self._adopt(posterior, modelfile.encode(posterior))

    def save(self, path: Path) -> None:
        """Write the model file."""
        write_file(Path(path), [modelfile.encode(self.posterior)])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model file and verify that it reproduces GPy's answers."""
        data = Path(path).read_bytes()
        posterior = modelfile.decode(data)
        try:
            return cls(len(posterior.feature_names))._adopt(posterior, data)
        except ArithmeticError as error:
            raise ModelFileError(f"its numbers are too large or too small: {error}") from error

    def predict(self, X: Any, *, noise: bool = True) -> FloatArray:
        """Return mean and variance at X, shape (n, 2).

        X has shape (n, d): an array, lists, or a data frame with a column for each feature. A
        categorical feature has codes.

        Rasmussen & Williams, equations 2.25 and 2.26, with ‖L⁻¹k‖² for kᵀK⁻¹k.
        """
        X = self._columns(X)
        out = np.empty((len(X), 2))
        self._predictor.write(out, X)
        variance = out[:, 1]
        np.maximum(variance, self._floor, out=variance)
        if noise:
            variance += self._noise
        return out

    def gradient(self, X: Any) -> FloatArray:
        """Return the derivatives of mean and variance by the inputs, shape (n, 2, d), in raw units.

        The variance is that of the latent function; the noise is constant. The derivative by a
        category is 0.
        """
        p, predictor = self.posterior, self._predictor
        U = p.model_units(self._columns(X))
        return p.encoding.contract(
            derivatives.gradient(p, predictor.triangle, predictor.trend, U), axis=2
        )

    def hessian(self, X: Any) -> FloatArray:
        """Return the second derivatives of mean and variance, shape (n, 2, d, d)."""
        p, predictor = self.posterior, self._predictor
        U = p.model_units(self._columns(X))
        D = derivatives.hessian(p, predictor.triangle, predictor.trend, U)
        return p.encoding.contract(p.encoding.contract(D, axis=2), axis=3)

    def covariance(self, X: Any, *, noise: bool = True) -> FloatArray:
        """Return the joint covariance, shape (n, n); its diagonal is `predict`'s variance.

        Rasmussen & Williams, equation 2.24, and 2.42 for an estimated mean.
        """
        S = self._latent_covariance(X)
        np.fill_diagonal(S, self.predict(X, noise=noise)[:, 1])
        return S

    def _latent_covariance(self, X: Any) -> FloatArray:
        """Return the joint covariance of the latent function, without White noise."""
        p, trend = self.posterior, self._predictor.trend
        U = p.model_units(self._columns(X))
        V = self._predictor.triangle.factor_product(p.kernel.K(U, p.X))
        S = p.output_scale**2 * p.kernel.K(U, U) - V @ V.T
        if trend is not None:
            T = trend.rows(p.mean.design(U), V, p.output_scale)
            S += T @ T.T
        return (S + S.T) / 2

    def samples(self, X: Any, count: int, seed: int, *, pathwise: bool = False) -> FloatArray:
        """Return joint draws of the latent function, shape (count, n).

        They are exact unless `pathwise`; then each is a function of x, see `PathwiseDraws`.
        """
        if pathwise:
            p = self.posterior
            draws = self._functions(p.model_units(self._columns(X)), count, seed)
            return p.output_offset + p.output_scale * draws
        return joint_draws(self.predict(X)[:, 0], self._latent_covariance(X), count, seed)

    def diagnostics(self) -> Diagnostics:
        """Return the training rows, each left out, or a sparse GP's held-out rows.

        Raises `Unsupported`: the file of a sparse GP does not keep its held-out rows.
        """
        return validation.diagnose(self.posterior, self.description.scores)

    def _functions(self, U: FloatArray, count: int, seed: int) -> FloatArray:
        """Return draws at U, shape (count, n): many of them in blocks, one caller at a time."""
        parts = blocks(self.posterior, count)
        if len(parts) == 1:
            return self._kept(count, seed).at(U)
        draws = np.empty((count, len(U)))
        with self._many:
            drawing = Drawing(self.posterior, seed)
            for part in parts:
                draws[part.start : part.stop] = PathwiseDraws(drawing, part).at(U)
        return draws

    def _kept(self, count: int, seed: int) -> PathwiseDraws:
        with self._few:
            if (count, seed) not in self._recent:
                made = PathwiseDraws(Drawing(self.posterior, seed), range(count))
                while len(self._recent) >= RECENT_DRAWS:
                    del self._recent[next(iter(self._recent))]
                self._recent[count, seed] = made
            return self._recent[count, seed]

    def _columns(self, X: Any) -> FloatArray:
        """Return the columns of X, shape (n, D); raise `ValueError` for another shape."""
        X = self._checked(X)
        return X if self._encoding is None else self._encoding.expand(X)

    def _checked(self, X: Any) -> FloatArray:
        if self._posterior is None:
            raise ValueError("the model is not trained: call fit, load or from_gpy")
        is_array = type(X) is np.ndarray and X.dtype == _FLOAT64
        points: FloatArray = X if is_array else as_points(X, self.feature_names)
        if points.ndim != 2 or points.shape[1] != self.input_dim:
            raise ValueError(f"X must have shape (n, {self.input_dim}), not {points.shape}")
        return points


def _predictor(posterior: Posterior) -> Predictor:
    """Return the compiled one where there is one."""
    library = native.library()
    if library is None:
        return TiledPredictor(posterior)
    return CompiledPredictor(posterior, library)
