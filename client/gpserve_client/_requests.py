"""The requests of a prediction and how their answers are read, without sending anything."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from gpserve_client._points import as_csv
from gpserve_client.answers import BoolArray, FloatArray, JobStatus, ModelInfo, prediction
from gpserve_client.options import Options

T = TypeVar("T")

NPY = "application/x-npy"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request; `read` makes its answer of the response."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True)
class Part:
    """The answer of one request of a prediction, and the mark of the process that gave it."""

    values: FloatArray
    server: str


def _part(response: httpx.Response, values: FloatArray) -> Part:
    # a request id is the process's mark, new at each start, and a counter
    return Part(values, response.headers.get("X-Request-Id", "").rpartition("-")[0])


def model() -> Call[ModelInfo]:
    """``GET /model``."""
    return Call("GET", "/model", lambda response: ModelInfo.from_json(response.json()))


def predict_one(point: FloatArray, info: ModelInfo) -> Call[Part]:
    """One point, shape (d,), as JSON, which the server answers fastest; answer of shape (1, 2)."""
    document = json.dumps(dict(zip(info.feature_names, point.tolist(), strict=True)))
    headers = {"Content-Type": "application/json", "If-Match": f'"{info.version}"'}

    def read(response: httpx.Response) -> Part:
        answer = response.json()
        return _part(response, np.array([[answer["mean"], answer["variance"]]]))

    return Call("POST", "/predict", read, headers=headers, content=document.encode())


def predict(X: FloatArray, options: Options, version: str) -> Call[Part]:
    """Points of shape (n, d) as .npy; answer of shape (n, k)."""
    headers = {"Content-Type": NPY, "Accept": NPY, "If-Match": f'"{version}"'}

    def read(response: httpx.Response) -> Part:
        return _part(response, read_array(response))

    return Call("POST", "/predict", read, options.query(), headers, npy(X))


def covariance(X: FloatArray, options: Options, version: str) -> Call[Part]:
    """The joint covariance of points of shape (n, d), shape (n, n)."""
    headers = {"Content-Type": NPY, "Accept": "application/json", "If-Match": f'"{version}"'}
    query = {name: value for name, value in options.query().items() if name == "noise"}

    def read(response: httpx.Response) -> Part:
        return _part(response, np.array(response.json()["covariance"]))

    return Call("POST", "/predict", read, {**query, "covariance": "true"}, headers, npy(X))


def npy(X: FloatArray) -> bytes:
    """An array in NumPy's .npy format."""
    out = io.BytesIO()
    np.save(out, X, allow_pickle=False)
    return out.getvalue()


@retry(retry=retry_if_exception_type(SystemError), stop=stop_after_attempt(10), reraise=True)
def read_array(response: httpx.Response) -> FloatArray:
    """The array of a .npy answer.

    NumPy parses its header as Python, and CPython before 3.11.8 may raise `SystemError` when
    another thread parses too (gh-106905), ours or the caller's own: it is parsed again then.
    """
    return np.asarray(np.load(io.BytesIO(response.content), allow_pickle=False))


GZIP_MAGIC = b"\x1f\x8b"


def new_key() -> str:
    """A key under which a repeated request is the same job."""
    return str(uuid.uuid4())


def submit(X: FloatArray, options: Options, version: str, key: str) -> Call[JobStatus]:
    """Points of shape (..., d) as a job; a repeated `key` is the same job.

    Raises
    ------
    ValueError
        A covariance is asked for, which is no array of numbers a point.
    """
    if options.covariance:
        raise ValueError("a job gives no covariance: ask `predict` for it")
    headers = {
        "Content-Type": NPY,
        "Prefer": "respond-async",
        "If-Match": f'"{version}"',
        "Idempotency-Key": key,
    }
    return Call("POST", "/predict", _job, options.query(), headers, npy(X))


def train(data: Any, target: str, options: Mapping[str, Any], key: str) -> Call[JobStatus]:
    """Train a new version on a table."""
    query = {"target": target, **{name: _text(value) for name, value in options.items()}}
    headers = {"Content-Type": "text/csv", "Idempotency-Key": key}
    table = as_csv(data)
    if table.startswith(GZIP_MAGIC):
        headers["Content-Encoding"] = "gzip"
    return Call("POST", "/train", _job, query, headers, table)


def activate(version: str) -> Call[dict[str, Any]]:
    """Serve this version from now on."""
    return Call("POST", f"/models/{_segment(version)}/activate", _json)


def models() -> Call[dict[str, Any]]:
    """All versions."""
    return Call("GET", "/models", _json)


def jobs() -> Call[list[JobStatus]]:
    """One's own jobs, the newest first."""

    def read(response: httpx.Response) -> list[JobStatus]:
        return [JobStatus.from_json(document) for document in response.json()["jobs"]]

    return Call("GET", "/jobs", read)


def job(id: str) -> Call[JobStatus]:
    """How far a job is."""
    return Call("GET", f"/jobs/{_segment(id)}", _job)


def results(id: str) -> Call[httpx.Response]:
    """What a job gives."""
    accept = {"Accept": f"{NPY}, application/json;q=0.9"}
    return Call("GET", f"/jobs/{_segment(id)}/results", lambda response: response, headers=accept)


def dismiss(id: str) -> Call[JobStatus]:
    """Cancel a job; one that has ended stays what it is."""
    return Call("DELETE", f"/jobs/{_segment(id)}", _job)


def _json(response: httpx.Response) -> Any:
    return response.json()


def _job(response: httpx.Response) -> JobStatus:
    return JobStatus.from_json(response.json())


def _segment(id: str) -> str:
    """An id within a path, from which it cannot lead away: of ``..`` it is the dots that would."""
    return quote(str(id), safe="").replace(".", "%2E")


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    listed = isinstance(value, Iterable) and not isinstance(value, str)
    return ",".join(map(str, value)) if listed else str(value)


@dataclass(frozen=True)
class Asked:
    """What a job was asked, as far as this program knows.

    Attributes
    ----------
    outside : which points lie outside the training range of `version`
    """

    options: Options = field(default_factory=Options)
    outside: BoolArray | None = None
    version: str = ""


def result_of(response: httpx.Response, asked: Asked) -> Any:
    """A `Prediction` of an array, else the JSON document.

    Raises
    ------
    ValueError
        The job was sent with other options.
    """
    if not response.headers.get("Content-Type", "").startswith(NPY):
        return response.json()
    values = read_array(response)
    options = asked.options
    d = (values.shape[-1] - options.width(0)) // 2 if options.gradient else 0
    version = response.headers.get("X-Model-Version", "")
    outside = asked.outside if version == asked.version else None
    try:
        return prediction(values, options, version, outside, d)
    except ValueError as error:
        hint = "pass those of the job, as in job(id, Options(interval=0.9))"
        raise ValueError(f"{error}: {hint}") from None
