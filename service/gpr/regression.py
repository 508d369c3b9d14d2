"""Gaussian process regression: the `Model` that GPy trains and NumPy serves."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from service.gpr import derivatives, validation
from service.gpr import file as modelfile
from service.gpr.posterior import Posterior
from service.gpr.sampling import PathwiseDraws
from service.gpr.tiles import TiledPredictor
from service.model import Description, Diagnostics, FloatArray, Model, version_of, write_file

MIN_VARIANCE = 1e-15
"""GPy's lower bound of the latent variance, in the model's units."""

MAX_MODEL_UNITS = 1e50
"""Coordinates in the model's units are clipped here, so that their squares are finite."""

RECENT_DRAWS = 4
"""Draws to keep, so that the pieces of a large array share them."""


class GPR(Model):
    """A Gaussian process over `input_dim` inputs.

    Parameters
    ----------
    input_dim : d
    kernel : what `fit` trains: a sum of RBF, Matern32, Matern52, Bias and White, by name, as in
        ``"Matern52 + White"`` (one lengthscale per input), or a GPy kernel
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
        self._lock = threading.Lock()

    @classmethod
    def from_posterior(cls, posterior: Posterior) -> Self:
        """Return a trained model with this posterior."""
        return cls(posterior.X.shape[1])._adopt(posterior, modelfile.encode(posterior))

    @classmethod
    def from_gpy(cls, m: Any, feature_names: Sequence[str], output_name: str = "y") -> Self:
        """Return a model from a trained ``GPy.models.GPRegression`` or ``SparseGPRegression``.

        Raises `ValueError`: the model has something unsupported (another kernel or likelihood, a
        mean function, several outputs), or a feature name cannot be used.
        """
        from service.gpr.training import posterior_of  # GPy may be absent where models are served

        return cls.from_posterior(posterior_of(m, feature_names, output_name))

    def _adopt(self, posterior: Posterior, data: bytes) -> Self:
        self._posterior = posterior
        self._recent = {}
        self.input_dim = posterior.X.shape[1]
        self.kernel = posterior.kernel.name
        self.feature_names, self.output_name = posterior.feature_names, posterior.output_name
        described = posterior.description(version_of(io.BytesIO(data)))
        self.description: Description = replace(described, scores=validation.described(posterior))
        self._tiles = TiledPredictor(posterior, self.large_tile)
        variance = posterior.output_scale**2
        self._floor = variance * MIN_VARIANCE
        self._noise = variance * posterior.noise_variance
        modelfile.verify(posterior, self.predict, self.large_tile)
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
        return cls(posterior.X.shape[1])._adopt(posterior, data)

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return mean and variance at X, shape (n, 2).

        Rasmussen & Williams, equations 2.25 and 2.26, with ‖L⁻¹k‖² for kᵀK⁻¹k.
        """
        X = self._checked(X)
        out = np.empty((len(X), 2))
        self._tiles.write(out, X)
        variance = out[:, 1]
        np.maximum(variance, self._floor, out=variance)
        if noise:
            variance += self._noise
        return out

    def gradient(self, X: FloatArray) -> FloatArray:
        """Return the derivatives of mean and variance by the inputs, shape (n, 2, d), in raw units.

        The variance is that of the latent function; the noise is constant.
        """
        U = self._model_units(self._checked(X))
        return derivatives.gradient(self.posterior, self._tiles.triangle, U)

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of mean and variance, shape (n, 2, d, d)."""
        U = self._model_units(self._checked(X))
        return derivatives.hessian(self.posterior, self._tiles.triangle, U)

    def covariance(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return the joint covariance, shape (n, n); its diagonal is `predict`'s variance.

        Rasmussen & Williams, equation 2.24.
        """
        p, X = self.posterior, self._checked(X)
        U = self._model_units(X)
        V = self._tiles.triangle.factor_product(p.kernel.K(U, p.X))
        S = p.output_scale**2 * p.kernel.K(U, U) - V @ V.T
        S = (S + S.T) / 2
        np.fill_diagonal(S, self.predict(X, noise=noise)[:, 1])
        return S

    def samples(self, X: FloatArray, count: int, seed: int) -> FloatArray:
        """Return joint draws of the latent function, shape (count, n); see `PathwiseDraws`."""
        p, X = self.posterior, self._checked(X)
        draws = self._draws(count, seed)
        return p.output_offset + p.output_scale * draws.at(self._model_units(X))

    def diagnostics(self) -> Diagnostics:
        """Return the training rows, each left out, or a sparse GP's held-out rows.

        Raises `Unsupported`: the file of a sparse GP does not keep its held-out rows.
        """
        return validation.diagnose(self.posterior, self.description.scores)

    def _draws(self, count: int, seed: int) -> PathwiseDraws:
        with self._lock:
            if (count, seed) not in self._recent:
                while len(self._recent) >= RECENT_DRAWS:
                    del self._recent[next(iter(self._recent))]
                self._recent[count, seed] = PathwiseDraws(self.posterior, count, seed)
            return self._recent[count, seed]

    def _model_units(self, X: FloatArray) -> FloatArray:
        p = self.posterior
        reach = MAX_MODEL_UNITS * p.input_scale
        near = np.clip(X, p.input_offset - reach, p.input_offset + reach)
        return (near - p.input_offset) / p.input_scale

    def _checked(self, X: FloatArray) -> FloatArray:
        if self._posterior is None:
            raise ValueError("the model is not trained: call fit, load or from_gpy")
        if X.ndim != 2 or X.shape[1] != self.input_dim:
            raise ValueError(f"X must have shape (n, {self.input_dim}), not {X.shape}")
        return X
