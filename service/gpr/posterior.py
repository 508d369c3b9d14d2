"""A trained GP as plain data: the contents of a model file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.gpr.encoding import Encoding
from service.gpr.factors import Linear, Product, StdPeriodic, Term
from service.gpr.kernels import Kernel
from service.gpr.means import Mean
from service.gpr.stationary import Stationary
from service.model import Description, FloatArray

MAX_MODEL_UNITS = 1e50
"""Coordinates in the model's units are clipped here, so that their squares are finite."""


def _empty() -> FloatArray:
    return np.zeros(0)


def _no_rows() -> FloatArray:
    return np.zeros((0, 3))


@dataclass(frozen=True, eq=False)
class Posterior:
    """A GP given its training data.

    The model's units are those of its hyperparameters: ``(x - input_offset) / input_scale`` for
    inputs, ``(y - output_offset) / output_scale`` for the output. d is the number of inputs, D that
    of columns (see `Encoding`), and N is the number of training inputs, or of inducing inputs when
    `inducing`.

    Attributes
    ----------
    noise_variance : of a new observation, in the model's units
    input_offset, input_scale : shape (D,)
    X : shape (N, D), training or inducing inputs, in the model's units
    alpha : shape (N,), ``K⁻¹(y - m)`` for an exact GP, K with the nugget; GPy's ``woodbury_vector``
    factor : shape (N(N+1)/2,), the rows of the lower triangle of C, with ``woodbury_inv = CᵀC``;
        C = L⁻¹ for an exact GP (Rasmussen & Williams, Algorithm 2.1)
    training_range : shape (d, 2), in raw units
    reference_X, reference_answers : shapes (p, d) and (p, 2), the answers where the file was made,
        in raw units
    tolerance : how closely they must be reproduced, as a share of the prior's variance
    y : shape (N,), training outputs in the model's units; empty when they are not known
    nugget : shape (N,), what was added to K's diagonal: the noise of each row, and the jitter;
        empty when it is not known
    jitter : the part of the nugget that only makes the matrix easier to factor
    held_out : shape (m, 3), observed, mean and variance of rows that were not used for training, in
        raw units
    """

    name: str
    feature_names: tuple[str, ...]
    output_name: str
    kernel: Kernel
    noise_variance: float
    input_offset: FloatArray
    input_scale: FloatArray
    output_offset: float
    output_scale: float
    inducing: bool
    X: FloatArray
    alpha: FloatArray
    factor: FloatArray
    training_points: int
    training_range: FloatArray
    reference_X: FloatArray
    reference_answers: FloatArray
    gpy_version: str
    data_sha256: str
    created: str
    scores: dict[str, float] = field(default_factory=dict)
    tolerance: float = 1e-9
    mean: Mean = field(default_factory=Mean)
    y: FloatArray = field(default_factory=_empty)
    nugget: FloatArray = field(default_factory=_empty)
    jitter: float = 0.0
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    held_out: FloatArray = field(default_factory=_no_rows)

    @property
    def encoding(self) -> Encoding:
        """How inputs become columns."""
        return Encoding(len(self.feature_names), self.categories)

    def model_units(self, X: FloatArray) -> FloatArray:
        """Return X, shape (n, D), in the model's units, clipped to numbers with a finite square."""
        reach = MAX_MODEL_UNITS * self.input_scale
        near = np.clip(X, self.input_offset - reach, self.input_offset + reach)
        units: FloatArray = (near - self.input_offset) / self.input_scale
        return units

    @property
    def least_variance(self) -> float:
        """The lower bound of a latent variance, in the model's units: 1e-15 as in GPy.

        It is as small a share of the prior's variance, where the prior's is below 1.
        """
        return 1e-15 * min(1.0, float(np.max(self.kernel.diagonal(self.X))))

    def triangle(self) -> FloatArray:
        """Return C, shape (N, N)."""
        N = len(self.X)
        C = np.zeros((N, N))
        C[np.tri(N, dtype=np.bool_)] = self.factor
        return C

    def hyperparameters(self) -> dict[str, Any]:
        """Return those of kernel, mean and likelihood, in the model's units, ready for JSON."""
        found: dict[str, Any] = {}
        for term in self.kernel.terms:
            key, repeat = term.name, 2
            while key in found:
                key, repeat = f"{term.name}_{repeat}", repeat + 1
            found[key] = self._entry(term)
        if self.mean.basis != "none":
            found["mean"] = self.mean.hyperparameters()
        found["noise_variance"] = self.noise_variance
        if self.jitter:
            found["jitter"] = self.jitter
        if self.inducing:
            found["inducing_inputs"] = len(self.X)
        return found

    def _entry(self, term: Term) -> Any:
        if isinstance(term, Product):
            return [{"factor": f.name, **self._entry(f)} for f in term.factors]
        entry: dict[str, Any] = dict(term.hyperparameters())
        if isinstance(term, Stationary | Linear | StdPeriodic):
            names = self.encoding.names(self.feature_names)
            entry["inputs"] = [names[i] for i in term.active_dims]
        return entry

    def description(self, version: str) -> Description:
        """Return what ``GET /model`` answers, with this version."""
        return Description(
            name=self.name,
            version=version,
            kernel=self.kernel.name,
            feature_names=self.feature_names,
            output_name=self.output_name,
            training_points=self.training_points,
            training_range=self.training_range,
            hyperparameters=self.hyperparameters(),
            scores=dict(self.scores),
            created=self.created,
            categories={self.feature_names[i]: words for i, words in self.categories.items()},
        )
