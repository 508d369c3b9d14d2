"""A model that is not a Gaussian process: Bayesian regression on a polynomial of degree two.

To serve another model, write a class like this one and name it in a setting:

    GPSERVE_MODEL_CLASS=examples.polynomial:PolynomialRegression
    GPSERVE_MODEL=polynomial.npz
"""

from __future__ import annotations

import hashlib
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Self

import numpy as np

from service.model import Description, FloatArray, Model, ModelFileError

PRIOR_PRECISION = 1e-6
ARRAYS = ("feature_names", "weights", "covariance", "noise", "centre", "unit", "range", "rows")


class PolynomialRegression(Model):
    """Weights of 1, xᵢ and xᵢxⱼ with a Gaussian prior; Rasmussen & Williams, section 2.1."""

    def __init__(self, feature_names: tuple[str, ...]) -> None:
        self.feature_names = feature_names

    @property
    def trained(self) -> bool:
        """Whether `predict` can be called."""
        return hasattr(self, "weights")

    def _features(self, X: FloatArray) -> FloatArray:
        U = (X - self.centre) / self.unit
        pairs = combinations_with_replacement(range(U.shape[1]), 2)
        return np.column_stack([np.ones(len(U)), U, *(U[:, i] * U[:, j] for i, j in pairs)])

    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        """Train on X, shape (n, d), and y, shape (n,)."""
        self.centre, self.unit = X.mean(axis=0), X.std(axis=0)
        self.range, self.rows = np.column_stack([X.min(axis=0), X.max(axis=0)]), len(X)
        F = self._features(X)
        A = F.T @ F + PRIOR_PRECISION * np.eye(F.shape[1])
        self.weights = np.linalg.solve(A, F.T @ y)
        self.noise = float(np.mean((y - F @ self.weights) ** 2))
        self.covariance_of_weights = self.noise * np.linalg.inv(A)
        self._describe("unsaved")
        return self

    def _describe(self, version: str) -> None:
        self.description = Description(
            name="polynomial",
            version=version,
            kernel="polynomial of degree 2",
            feature_names=self.feature_names,
            output_name="y",
            training_points=self.rows,
            training_range=self.range,
            hyperparameters={"noise_variance": self.noise},
        )

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return mean and variance, shape (n, 2).

        ``einsum`` sums each row separately, so that its bits do not depend on the other rows.
        """
        F = self._features(X)
        mean = np.einsum("ni,i->n", F, self.weights)
        variance = np.einsum("ni,ij,nj->n", F, self.covariance_of_weights, F)
        return np.column_stack([mean, variance + (self.noise if noise else 0)])

    def save(self, path: Path) -> None:
        """Write plain arrays."""
        values = (
            np.array(self.feature_names), self.weights, self.covariance_of_weights, self.noise,
            self.centre, self.unit, self.range, self.rows,
        )  # fmt: skip
        with Path(path).open("wb") as stream:
            np.savez(stream, allow_pickle=False, **dict(zip(ARRAYS, values, strict=True)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                names, weights, covariance, noise, centre, unit, reach, rows = (
                    archive[key] for key in ARRAYS
                )
        except (KeyError, ValueError, OSError) as error:
            raise ModelFileError(f"{path}: {error}") from error
        model = cls(tuple(names.tolist()))
        model.weights, model.covariance_of_weights = weights, covariance
        model.centre, model.unit, model.range = centre, unit, reach
        model.noise, model.rows = float(noise), int(rows)
        model._describe(hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12])
        return model
