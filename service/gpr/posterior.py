"""A trained GP as plain data: the contents of a model file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from service.gpr.kernels import Kernel, Stationary
from service.model import Description, FloatArray


@dataclass(frozen=True, eq=False)
class Posterior:
    """A GP given its training data.

    The model's units are those that GPy saw: ``(x - input_offset) / input_scale`` for inputs,
    ``(y - output_offset) / output_scale`` for the output. N is the number of training inputs,
    or of inducing inputs when `inducing`.

    Attributes
    ----------
    noise_variance : of the Gaussian likelihood, in the model's units
    X : shape (N, d), training or inducing inputs, in the model's units
    alpha : shape (N,), GPy's ``woodbury_vector``: K⁻¹y for an exact GP
    factor : shape (N(N+1)/2,), the rows of the lower triangle of C, with ``woodbury_inv = CᵀC``;
        C = L⁻¹ for an exact GP (Rasmussen & Williams, Algorithm 2.1)
    training_range : shape (d, 2), in raw units
    reference_X, reference_answers : shapes (p, d) and (p, 2), GPy's answers there, in raw units
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

    def hyperparameters(self) -> dict[str, Any]:
        """Return those of the kernel and the likelihood, in the model's units, ready for JSON."""
        found: dict[str, Any] = {}
        for term in self.kernel.terms:
            entry: dict[str, Any] = {"variance": term.variance}
            if isinstance(term, Stationary):
                entry["lengthscale"] = term.lengthscale.tolist()
                entry["inputs"] = [self.feature_names[i] for i in term.active_dims]
            key, repeat = term.name, 2
            while key in found:
                key, repeat = f"{term.name}_{repeat}", repeat + 1
            found[key] = entry
        found["noise_variance"] = self.noise_variance
        if self.inducing:
            found["inducing_inputs"] = len(self.X)
        return found

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
        )
