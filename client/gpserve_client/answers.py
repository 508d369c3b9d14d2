"""What the service answers, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gpserve_client.errors import JobFailed
from gpserve_client.options import Options

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class ModelInfo:
    """What ``GET /model`` says.

    Attributes
    ----------
    training_range : the smallest and largest training value of each feature, shape (d, 2)
    members : the whole document
    """

    name: str
    version: str
    feature_names: tuple[str, ...]
    output_name: str
    training_range: FloatArray
    members: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read the document."""
        names = tuple(members["feature_names"])
        low_high = np.array([members["training_range"][name] for name in names], dtype=np.float64)
        name, version, output = members["name"], members["version"], members["output_name"]
        return cls(name, version, names, output, low_high, members)

    def outside(self, X: FloatArray) -> BoolArray:
        """Which points, shape (..., d), lie outside the training range of any feature."""
        low, high = self.training_range.T
        return np.asarray(((low > X) | (high < X)).any(axis=-1))


@dataclass(frozen=True)
class Gradient:
    """Derivatives by the d inputs, shape (..., d) each."""

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Prediction:
    """The answer for points of shape (..., d): arrays of shape (...).

    ``mean, variance = gp.predict(X)`` works, too.

    Attributes
    ----------
    extrapolated : which points lie outside the training range; None when that is not known, as of
        a job that another program submitted
    version : of the model that answered, the same for all points
    samples : draws, shape (samples, ...)
    covariance : shape (n, n)
    answered_by : marks of the serving processes that answered, new at each of their starts; empty
        for a job
    """

    mean: FloatArray
    variance: FloatArray
    extrapolated: BoolArray | None
    version: str
    lower: FloatArray | None = None
    upper: FloatArray | None = None
    gradient: Gradient | None = None
    samples: FloatArray | None = None
    covariance: FloatArray | None = None
    answered_by: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[FloatArray]:
        return iter((self.mean, self.variance))

    @property
    def std(self) -> FloatArray:
        """The standard deviation."""
        return np.asarray(np.sqrt(self.variance))


def prediction(
    values: FloatArray, options: Options, version: str, extrapolated: BoolArray | None, d: int
) -> Prediction:
    """An answer from its array, shape (..., k), whose columns the options decide.

    Raises
    ------
    ValueError
        The array has not the columns of these options.
    """
    if values.shape[-1] != options.width(d):
        raise ValueError(
            f"the answer has {values.shape[-1]} numbers a point, these options give "
            f"{options.width(d)}"
        )
    answer = Prediction(values[..., 0], values[..., 1], extrapolated, version)
    start = 2
    if options.interval is not None:
        answer = replace(answer, lower=values[..., 2], upper=values[..., 3])
        start = 4
    if options.gradient:
        middle, end = start + d, start + 2 * d
        slopes = Gradient(values[..., start:middle], values[..., middle:end])
        answer, start = replace(answer, gradient=slopes), end
    if options.samples:
        answer = replace(answer, samples=np.moveaxis(values[..., start:], -1, 0))
    return answer


def joined(parts: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """The parts of an answer, one after the other, in the leading shape of the points."""
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return values.reshape(*shape, values.shape[-1])


FINAL = frozenset({"successful", "failed", "dismissed"})


@dataclass(frozen=True)
class JobStatus:
    """A job in the words of OGC API – Processes.

    Attributes
    ----------
    status : accepted, running, successful, failed or dismissed
    process : predict or train
    progress : 0 to 100
    members : the whole document
    """

    id: str
    status: str
    process: str
    progress: float
    message: str
    members: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read the document."""
        return cls(
            members["jobID"],
            members["status"],
            members.get("processID", ""),
            float(members.get("progress") or 0),
            members.get("message") or "",
            members,
        )

    @property
    def final(self) -> bool:
        """Whether it will change no more."""
        return self.status in FINAL

    def refuse_failed(self) -> None:
        """Raise `JobFailed` when it ended without a result."""
        if self.status in ("failed", "dismissed"):
            raise JobFailed(f"job {self.id} is {self.status}: {self.message}")
