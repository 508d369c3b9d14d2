"""Options of predictions, jobs and training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a prediction.

    Attributes
    ----------
    noise : False gives the variance of the latent function, without observation noise
    interval : a probability; adds `lower` and `upper`, the bounds of the central interval that
        has it
    gradient : adds the derivatives of mean and variance with respect to the inputs
    covariance : adds the joint covariance of all points
    samples : adds this many joint samples of the latent function
    seed : of the samples
    pathwise : makes the samples functions of the point, which are the same however the points are
        split; otherwise they are exact for up to 1000 points
    """

    noise: bool = True
    interval: float | None = None
    gradient: bool = False
    covariance: bool = False
    samples: int = 0
    seed: int = 0
    pathwise: bool = False

    def query(self) -> dict[str, str]:
        """Return the options that differ from their defaults, as query parameters."""
        default = Options()
        return {
            name: str(value).lower()
            for name, value in asdict(self).items()
            if value != getattr(default, name)
        }

    def width(self, d: int) -> int:
        """Return how many numbers per point an array answer holds, for d inputs."""
        more = 2 * (self.interval is not None) + 2 * d * self.gradient
        return 2 + more + self.samples


class JobOptions(TypedDict, total=False):
    """Options of `Client.submit`: all of `Options` except `covariance`."""

    noise: bool
    interval: float | None
    gradient: bool
    samples: int
    seed: int
    pathwise: bool


class TrainingOptions(TypedDict, total=False):
    """Options of `Client.train`; the service has a default for each.

    Attributes
    ----------
    features : names of the input columns; by default all columns except the target
    categorical : names of columns of words, or of numbers that stand for kinds; one-hot encoded
    leave_out : names of columns that are not used
    drop_missing : whether rows with a missing or unreadable cell are left out
    decimal : "point" or "comma", the decimal sign of a table; "auto", the default, finds it
    noise_column : name of a column with the known noise variance of each row
    kernel : a sum of kernels by name, as in ``"Matern52 + White"``
    mean : "none", "constant" or "linear", the value that predictions approach far from the data
    noise : "auto" is estimated, "none" is for simulators; or a share of the output's variance
    ard : whether each input has its own lengthscale
    restarts : number of starts of the optimiser
    inducing : number of inducing inputs of a sparse GP
    held_out : fraction of the rows that is held out to score the model
    held_out_only : True keeps those rows out of the served model too
    name : name of the model
    activate : False stores the new version without serving it
    force : serve the new version even if its scores are clearly worse than the current one's
    """

    features: Iterable[str]
    categorical: Iterable[str]
    leave_out: Iterable[str]
    drop_missing: bool
    decimal: str
    noise_column: str
    kernel: str
    mean: str
    noise: str | float
    ard: bool
    restarts: int
    inducing: int
    held_out: float
    held_out_only: bool
    name: str
    activate: bool
    force: bool
