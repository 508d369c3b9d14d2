"""Gaussian process regression: the `Model` that GPy trains and NumPy serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from service import modelfile
from service.model import Description, FloatArray, Model
from service.posterior import Posterior
from service.tiles import TiledPredictor

LOWEST_VARIANCE = 1e-15
"""GPy's own floor of the latent variance, in the model's units."""

GRADIENT_ROWS = 32
"""Rows whose derivatives are computed together: d² numbers for each row and training input."""


class GPR(Model):
    """A Gaussian process over `input_dim` inputs.

    Parameters
    ----------
    input_dim : d
    kernel : what `fit` trains: a sum of RBF, Matern32, Matern52, Bias and White, by name, as in
        ``"Matern52 + White"`` (one lengthscale an input), or a GPy kernel
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

    @classmethod
    def from_posterior(cls, posterior: Posterior) -> Self:
        """Make a trained model of its data."""
        return cls(posterior.X.shape[1])._take(posterior, modelfile.encode(posterior))

    @classmethod
    def from_gpy(cls, m: Any, feature_names: Sequence[str], output_name: str = "y") -> Self:
        """Take over a trained ``GPy.models.GPRegression`` or ``SparseGPRegression``.

        Raises
        ------
        ValueError
            The model holds something that is not served (another kernel or likelihood, a mean
            function, several outputs), or a feature name cannot be used.
        """
        from service.training import posterior_of

        return cls.from_posterior(posterior_of(m, feature_names, output_name))

    def _take(self, posterior: Posterior, data: bytes) -> Self:
        self._posterior = posterior
        self.input_dim = posterior.X.shape[1]
        self.kernel = posterior.kernel.name
        self.feature_names, self.output_name = posterior.feature_names, posterior.output_name
        self.description: Description = posterior.description(modelfile.version_of(data))
        self._tiles = TiledPredictor(posterior, self.large_tile)
        variance = posterior.output_scale**2
        self._prior = variance * posterior.kernel.diagonal
        self._floor = variance * LOWEST_VARIANCE
        self._noise = variance * posterior.noise_variance
        modelfile.prove(posterior, self.predict, self.large_tile)
        return self

    @property
    def posterior(self) -> Posterior:
        """What was trained."""
        if self._posterior is None:
            raise ValueError("the model is not trained: call fit, load or from_gpy")
        return self._posterior

    @property
    def trained(self) -> bool:
        """Whether `predict` can be called."""
        return self._posterior is not None

    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        """Train by GPy on X, shape (n, d), and y, shape (n,)."""
        from service.training import fit

        posterior = fit(X, y, self.kernel, self.feature_names, self.output_name)
        return self._take(posterior, modelfile.encode(posterior))

    def save(self, path: Path) -> None:
        """Write the model file."""
        modelfile.write(Path(path), modelfile.encode(self.posterior))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the model file and prove that it answers as GPy did."""
        data = Path(path).read_bytes()
        posterior = modelfile.decode(data)
        return cls(posterior.X.shape[1])._take(posterior, data)

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Mean and variance at X, shape (n, 2).

        Rasmussen & Williams, equations 2.25 and 2.26, with ‖L⁻¹k‖² for kᵀK⁻¹k.
        """
        self._check(X)
        out = np.empty((len(X), 2))
        self._tiles.into(out, X)
        mean, variance = out[:, 0], out[:, 1]
        mean += self._posterior.output_offset  # type: ignore[union-attr]
        np.subtract(self._prior, variance, out=variance)
        np.maximum(variance, self._floor, out=variance)
        if noise:
            variance += self._noise
        return out

    def _check(self, X: FloatArray) -> None:
        if self._posterior is None:
            raise ValueError("the model is not trained: call fit, load or from_gpy")
        if X.ndim != 2 or X.shape[1] != self.input_dim:
            raise ValueError(f"X has shape {X.shape}, not (n, {self.input_dim})")
