"""The requests that manage jobs and versions, and how their answers are read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from gpserve_client._requests import NPY, Call, npy
from gpserve_client._waiting import JobStatus
from gpserve_client.answers import FloatArray
from gpserve_client.options import Options
from gpserve_client.tables import as_csv

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
