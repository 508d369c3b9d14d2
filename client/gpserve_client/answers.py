"""Answers of the service: the model, predictions as arrays, the status of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """The model that is served, from ``GET /model``.

    Attributes
    ----------
    version : the first 12 hex digits of the model file's SHA-256
    feature_names : one for each of the d inputs, in the order of the columns of an array
    training_range : the smallest and largest training value of each input, shape (d, 2)
    members : the whole JSON document
    categories : the words of each categorical feature; an array has their indices
    """

    name: str
    version: str
    feature_names: tuple[str, ...]
    output_name: str
    training_range: FloatArray
    members: Mapping[str, Any] = field(repr=False, default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Create an instance from the JSON document."""
        categories = {name: tuple(ws) for name, ws in members.get("categories", {}).items()}
        names = tuple(members["feature_names"])
        low_high = np.array([members["training_range"][name] for name in names], dtype=np.float64)
        name, version, output = members["name"], members["version"], members["output_name"]
        return cls(name, version, names, output, low_high, members, categories)

    def named(self, point: FloatArray) -> dict[str, float | str]:
        """Return the values of one point, shape (d,), by feature name, with words for codes."""
        values = dict(zip(self.feature_names, point.tolist(), strict=True))
        return values | {name: words[int(values[name])] for name, words in self.categories.items()}

    def outside(self, X: FloatArray) -> BoolArray:
        """Return which points of X, shape (..., d), are outside the training range of any input."""
        low, high = self.training_range.T
        return np.asarray(((low > X) | (high < X)).any(axis=-1))


@dataclass(frozen=True)
class Gradient:
    """Derivatives with respect to the d inputs, shape (..., d) each."""

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Prediction:
    """A prediction for points of shape (..., d), as arrays of shape (...).

    ``mean, variance = gp.predict(X)`` works, too.

    Attributes
    ----------
    extrapolated : which points are outside the training range; None if that is unknown, as for a
        job that another program submitted
    version : the version of the model, the same for all points
    lower, upper : the bounds of the interval
    samples : joint samples of the latent function, shape (samples, ...)
    covariance : joint covariance of all n points, shape (n, n)
    answered_by : IDs of the server processes that answered, new at each of their starts; empty
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
        """The standard deviation, shape (...)."""
        return np.asarray(np.sqrt(self.variance))


def to_prediction(
    values: FloatArray, options: Options, version: str, extrapolated: BoolArray | None, d: int
) -> Prediction:
    """Split an answer of shape (..., k) into named arrays; the options determine its columns.

    Raises
    ------
    ValueError
        The answer does not have the columns of these options.
    """
    if values.shape[-1] != options.width(d):
        raise ValueError(
            f"the answer has {values.shape[-1]} numbers per point, but these options give "
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


@dataclass(frozen=True)
class JobStatus:
    """The status of a job, in the terms of OGC API – Processes.

    Attributes
    ----------
    status : accepted, running, successful, failed or dismissed
    process : predict or train
    progress : percentage, 0 to 100
    members : the whole JSON document
    """

    id: str
    status: str
    process: str
    progress: float
    message: str
    members: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Create an instance from the JSON document."""
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
        """Whether the job has ended, so that its status does not change any more."""
        return self.status in ("successful", "failed", "dismissed")

    def refuse_failed(self) -> None:
        """Raise `JobFailed` if the job ended without a result."""
        if self.status in ("failed", "dismissed"):
            ended = "failed" if self.status == "failed" else "was dismissed"
            raise JobFailed(f"job {self.id} {ended}: {self.message}")
