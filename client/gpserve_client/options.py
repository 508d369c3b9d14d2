"""What may be asked besides mean and variance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a prediction.

    Attributes
    ----------
    noise : False gives the variance of the latent function
    interval : adds `lower` and `upper`, which hold this probability
    gradient : adds the derivatives of mean and variance by the inputs
    covariance : adds the joint covariance of all points
    samples, seed : adds so many joint draws of the latent function
    """

    noise: bool = True
    interval: float | None = None
    gradient: bool = False
    covariance: bool = False
    samples: int = 0
    seed: int = 0

    def query(self) -> dict[str, str]:
        """Those that differ from the default, as query parameters."""
        default = Options()
        return {
            name: str(value).lower()
            for name, value in asdict(self).items()
            if value != getattr(default, name)
        }

    def width(self, d: int) -> int:
        """How many numbers a point's answer holds as an array."""
        more = 2 * (self.interval is not None) + 2 * d * self.gradient
        return 2 + more + self.samples


class JobOptions(TypedDict, total=False):
    """The members of `Options` that a job takes, as keywords."""

    noise: bool
    interval: float | None
    gradient: bool
    samples: int
    seed: int


class TrainingOptions(TypedDict, total=False):
    """The options of a training, as keywords.

    Attributes
    ----------
    features : the columns of the inputs; by default all but the target
    kernel : a sum by name, as in ``"Matern52 + White"``
    ard : whether each input has a lengthscale of its own
    restarts : starts of the optimiser
    inducing : inducing inputs of a sparse GP
    held_out : the share of rows that only score the model
    name : of the model
    activate : False stores the version and serves the old one
    """

    features: Iterable[str]
    kernel: str
    ard: bool
    restarts: int
    inducing: int
    held_out: float
    name: str
    activate: bool
