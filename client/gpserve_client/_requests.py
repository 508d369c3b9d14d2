"""The requests of a prediction and how their answers are read, without sending anything."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx
import numpy as np
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from gpserve_client.answers import FloatArray, ModelInfo
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
