"""Every request as data: what is sent, and how the response is read. Nothing is sent here."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
import numpy as np
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from gpserve_client._points import as_csv
from gpserve_client.answers import BoolArray, FloatArray, JobStatus, ModelInfo, to_prediction
from gpserve_client.errors import ServiceError, VersionChanged
from gpserve_client.options import Options

T = TypeVar("T")

NPY = "application/x-npy"
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Request(Generic[T]):
    """One request.

    Attributes
    ----------
    read : converts a successful response to the result
    """

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    def result(self, response: httpx2.Response) -> T:
        """Return the result.

        Raises
        ------
        ServiceError
            The response is an error.
        """
        if not response.is_success:
            raise _error(response)
        return self.read(response)


@dataclass(frozen=True)
class PartialAnswer:
    """The answer to one request of a prediction, and the ID of the server process that gave it."""

    values: FloatArray
    server: str


@dataclass(frozen=True)
class Submission:
    """How a job was submitted, as far as this program knows.

    Attributes
    ----------
    outside : which points are outside the training range of `version`
    """

    options: Options = field(default_factory=Options)
    outside: BoolArray | None = None
    version: str = ""


def model() -> Request[ModelInfo]:
    """Ask for the served model."""
    return Request("GET", "/model", lambda response: ModelInfo.from_json(response.json()))


def predict_one(point: FloatArray, info: ModelInfo) -> Request[PartialAnswer]:
    """Predict one point, shape (d,), as JSON, which is the fastest; answer of shape (1, 2)."""
    document = json.dumps(info.named(point))
    headers = {"Content-Type": "application/json", "If-Match": f'"{info.version}"'}

    def read(response: httpx2.Response) -> PartialAnswer:
        answer = response.json()
        return _partial_answer(response, np.array([[answer["mean"], answer["variance"]]]))

    return Request("POST", "/predict", read, headers=headers, content=document.encode())


def predict(X: FloatArray, options: Options, version: str) -> Request[PartialAnswer]:
    """Predict points of shape (n, d); the answer has shape (n, k)."""
    headers = {"Content-Type": NPY, "Accept": NPY, "If-Match": f'"{version}"'}

    def read(response: httpx2.Response) -> PartialAnswer:
        return _partial_answer(response, read_npy(response.content))

    return Request("POST", "/predict", read, options.query(), headers, npy(X))


def covariance(X: FloatArray, options: Options, version: str) -> Request[PartialAnswer]:
    """Ask for the joint covariance, shape (n, n), of points of shape (n, d)."""
    headers = {"Content-Type": NPY, "Accept": "application/json", "If-Match": f'"{version}"'}
    query = {name: value for name, value in options.query().items() if name == "noise"}

    def read(response: httpx2.Response) -> PartialAnswer:
        return _partial_answer(response, np.array(response.json()["covariance"]))

    return Request("POST", "/predict", read, {**query, "covariance": "true"}, headers, npy(X))


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return str(uuid.uuid4())


def submit(X: FloatArray, options: Options, version: str, key: str) -> Request[JobStatus]:
    """Predict points of shape (..., d) as a job; requests with the same `key` are the same job.

    Raises
    ------
    ValueError
        The options include a covariance.
    """
    if options.covariance:
        raise ValueError("jobs do not support covariance; use predict")
    headers = {
        "Content-Type": NPY,
        "Prefer": "respond-async",
        "If-Match": f'"{version}"',
        "Idempotency-Key": key,
    }
    return Request("POST", "/predict", _accepted_job, options.query(), headers, npy(X))


def train(data: Any, target: str, options: Mapping[str, Any], key: str) -> Request[JobStatus]:
    """Train a new version; requests with the same `key` are the same job."""
    query = {"target": target, **{name: _query_text(value) for name, value in options.items()}}
    headers = {"Content-Type": "text/csv", "Idempotency-Key": key}
    table = as_csv(data)
    if table.startswith(GZIP_MAGIC):
        headers["Content-Encoding"] = "gzip"
    return Request("POST", "/train", _job_status, query, headers, table)


def activate(version: str, force: bool) -> Request[dict[str, Any]]:
    """Serve this version from now on."""
    query = {"force": "true"} if force else {}
    return Request("POST", f"/models/{_segment(version)}/activate", _document, query)


def publish(path: Path, activate: bool, force: bool) -> Request[dict[str, Any]]:
    """Store a model file as a version."""
    query = {name: "true" for name, on in (("activate", activate), ("force", force)) if on}
    headers = {"Content-Type": "application/octet-stream"}
    return Request("POST", "/models", _document, query, headers, path.read_bytes())


def diagnostics() -> Request[dict[str, Any]]:
    """Ask how good the served model is."""
    return Request("GET", "/model/diagnostics", _document)


def models() -> Request[dict[str, Any]]:
    """List all versions."""
    return Request("GET", "/models", _document)


def jobs() -> Request[list[JobStatus]]:
    """List one's own jobs, newest first."""

    def read(response: httpx2.Response) -> list[JobStatus]:
        return [JobStatus.from_json(document) for document in response.json()["jobs"]]

    return Request("GET", "/jobs", read)


def job(id: str) -> Request[JobStatus]:
    """Ask for the status of a job."""
    return Request("GET", f"/jobs/{_segment(id)}", _job_status)


def results(id: str, submission: Submission) -> Request[Any]:
    """Ask for the result of a job: a `Prediction`, or the JSON document of a training."""
    accept = {"Accept": f"{NPY}, application/json;q=0.9"}

    def read(response: httpx2.Response) -> Any:
        return _job_result(response, submission)

    return Request("GET", f"/jobs/{_segment(id)}/results", read, headers=accept)


def dismiss(id: str) -> Request[JobStatus]:
    """Cancel a job; a job that has ended does not change."""
    return Request("DELETE", f"/jobs/{_segment(id)}", _job_status)


def npy(X: FloatArray) -> bytes:
    """Return an array in NumPy's .npy format."""
    out = io.BytesIO()
    np.save(out, X, allow_pickle=False)
    return out.getvalue()


@retry(retry=retry_if_exception_type(SystemError), stop=stop_after_attempt(10), reraise=True)
def read_npy(content: bytes) -> FloatArray:
    """Read an array in NumPy's .npy format.

    NumPy parses the header as Python. Before 3.11.8, CPython may raise `SystemError` when another
    thread parses at the same time (gh-106905); another attempt succeeds.
    """
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def _partial_answer(response: httpx2.Response, values: FloatArray) -> PartialAnswer:
    # a request ID consists of the ID of the server process and a counter
    return PartialAnswer(values, response.headers.get("X-Request-Id", "").rpartition("-")[0])


def _document(response: httpx2.Response) -> Any:
    return response.json()


def _accepted_job(response: httpx2.Response) -> JobStatus:
    if response.status_code != 202:
        detail = "the server has answered at once instead of accepting a job: it has no queue. "
        raise ServiceError(response.status_code, {"detail": detail + "Use predict"})
    return _job_status(response)


def _job_status(response: httpx2.Response) -> JobStatus:
    return JobStatus.from_json(response.json())


def _job_result(response: httpx2.Response, submission: Submission) -> Any:
    if not response.headers.get("Content-Type", "").startswith(NPY):
        return response.json()
    values = read_npy(response.content)
    options = submission.options
    d = (values.shape[-1] - options.width(0)) // 2 if options.gradient else 0
    version = response.headers.get("X-Model-Version", "")
    outside = submission.outside if version == submission.version else None
    try:
        return to_prediction(values, options, version, outside, d)
    except ValueError as error:
        hint = "pass the options of the job, as in job(id, Options(interval=0.9))"
        raise ValueError(f"{error}: {hint}") from None


def _error(response: httpx2.Response) -> ServiceError:
    kind = VersionChanged if response.status_code == 412 else ServiceError
    retry_after = response.headers.get("Retry-After", "")
    return kind(response.status_code, _problem(response), retry_after)


def _problem(response: httpx2.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"detail": response.text[:200] or response.reason_phrase}


def _segment(id: str) -> str:
    """Quote an ID as one segment of a path; dots too, since ``..`` would change the path."""
    return quote(str(id), safe="").replace(".", "%2E")


def _query_text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return ",".join(map(str, value)) if is_list else str(value)
