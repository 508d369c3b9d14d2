"""Predictions as jobs: the same bytes as synchronous ones, in every format and chunking."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest

from service.model import FloatArray
from tests.helpers.stack import Stack, bearer

CSV = {"Content-Type": "text/csv"}
NPY = {"Content-Type": "application/x-npy"}
ASYNC = {"Prefer": "respond-async"}
POINTS = {"points": [[-20, 181, 500, 30], [-21, 182, 90, 60]]}


def _npy(X: FloatArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, X)
    return buffer.getvalue()


def _run(jobs: Stack, http: httpx.Client, path: str = "/predict", **request: Any) -> str:
    request["headers"] = ASYNC | request.get("headers", {})
    answer = http.post(path, **request)
    assert answer.status_code == 202, answer.text
    document = answer.json()
    assert answer.headers["Location"] == f"/jobs/{document['jobID']}"
    assert document["status"] == "accepted"
    ended = jobs.follow(document["jobID"])
    assert ended["status"] == "successful", ended
    assert ended["progress"] == 100
    return str(document["jobID"])


@pytest.mark.parametrize("accept", ["text/csv", "application/json", "application/x-npy",
                                    "application/x-ndjson"])  # fmt: skip
def test_a_table_returns_the_same_bytes(
    jobs: Stack, http: httpx.Client, table: bytes, accept: str
) -> None:
    at_once = http.post("/predict", content=table, headers=CSV | {"Accept": accept})
    id = _run(jobs, http, content=table, headers=CSV | {"Accept": accept})
    assert http.get(f"/jobs/{id}").json()["points"] == {"done": 6000, "total": 6000}
    result = http.get(f"/jobs/{id}/results")  # in the format of the original request
    assert result.headers["Content-Type"] == accept
    assert result.content == at_once.content
    assert result.headers["X-Model-Version"] == at_once.headers["X-Model-Version"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("accept", ["text/csv", "application/json", "application/x-npy"])
def test_an_array_returns_the_same_bytes(
    jobs: Stack, http: httpx.Client, many: FloatArray, order: Any, accept: str
) -> None:
    data = _npy(np.array(many.reshape(6, 1000, 4), order=order))
    headers = NPY | {"Accept": accept}
    at_once = http.post("/predict", content=data, headers=headers)
    id = _run(jobs, http, content=data, headers=NPY)
    result = http.get(f"/jobs/{id}/results", headers={"Accept": accept})
    assert result.content == at_once.content


@pytest.mark.parametrize(
    "request_",
    [
        {"json": POINTS},
        {"json": {"points": POINTS["points"][0]}},
        {"json": {**POINTS, "interval": 0.9, "gradient": True, "samples": 3, "seed": 4}},
        {"json": {**POINTS, "covariance": True}},
        {"json": [{"lat": -20, "long": 181, "depth": 500, "stations": 30}]},
        {"data": {"lat": "-20", "long": "181", "depth": "500", "stations": "30"}},
        {"files": {"file": b"-20,181,500,30\n-60,181,500,30\n"}},
        {"content": gzip.compress(b"-20,181,500,30\n"),
         "headers": CSV | {"Content-Encoding": "gzip"}},
        {"content": b"lat,long,depth,stations\n-20,181,x,30\n-20,181,500,30\n",
         "headers": CSV, "params": {"on_bad_row": "nan"}},
    ],
)  # fmt: skip
def test_small_requests_of_every_kind(
    jobs: Stack, http: httpx.Client, request_: dict[str, Any]
) -> None:
    at_once = http.post("/predict", **request_)
    assert at_once.status_code == 200
    id = _run(jobs, http, **request_)
    assert http.get(f"/jobs/{id}/results").content == at_once.content


def test_a_query_string(jobs: Stack, http: httpx.Client) -> None:
    query = {"lat": -20, "long": 181, "depth": 500, "stations": 30}
    answer = http.get("/predict", params=query, headers=ASYNC)
    assert answer.status_code == 202
    id = answer.json()["jobID"]
    jobs.follow(id)
    assert http.get(f"/jobs/{id}/results").json() == http.get("/predict", params=query).json()


def test_bad_rows_in_every_chunk_are_skipped(jobs: Stack, http: httpx.Client, table: bytes) -> None:
    lines = table.split(b"\r\n")
    lines[100] = b"only,three,cells"
    lines[-2] = b"id,1,2,deep,4"
    bad = b"\r\n".join(lines)
    headers = CSV | {"Accept": "text/csv"}
    query = {"on_bad_row": "nan", "extrapolated": "true"}
    at_once = http.post("/predict", content=bad, headers=headers, params=query)
    id = _run(jobs, http, content=bad, headers=headers, params=query)
    result = http.get(f"/jobs/{id}/results")
    assert b"line 101: 3 cells" in result.content
    assert result.content == at_once.content


def test_a_bad_row_fails_the_job_by_its_line(jobs: Stack, http: httpx.Client, table: bytes) -> None:
    lines = table.split(b"\r\n")
    lines[-2] = b"id,1,2,deep,4"
    bad = b"\r\n".join(lines)
    at_once = http.post("/predict", content=bad, headers=CSV)
    id = http.post("/predict", content=bad, headers=CSV | ASYNC).json()["jobID"]
    ended = jobs.follow(id)
    assert ended["status"] == "failed"
    assert ended["problem"]["line"] == at_once.json()["line"]
    assert ended["message"] == at_once.json()["detail"]
    result = http.get(f"/jobs/{id}/results")
    assert result.status_code == 422
    assert result.json()["line"] == at_once.json()["line"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", CSV, 422),
        (b"lat,long,depth\n1,2,3\n", CSV, 422),
        (b"\xff\xfea\x00", CSV, 400),
        (b"not an array", NPY, 400),
        (_npy(np.ones((3, 5))), NPY, 422),
        (_npy(np.ones((3, 4)))[:-8], NPY, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"points": [[1, 2]]}', {"Content-Type": "application/json"}, 422),
        (
            b'{"points": [[1, 2, 3, 4]], "samples": 2000000}',
            {"Content-Type": "application/json"},
            413,
        ),
        (json.dumps({"points": [[1, 2, 3, 4]] * 1001, "covariance": True}).encode(), {}, 413),
        (b"x", {"Content-Type": "image/png"}, 415),
        (b"1,2,3,4\n", CSV | {"Accept": "image/png"}, 406),
        (b"1,2,3,4\n", CSV | {"If-Match": '"000000000000"'}, 412),
    ],
)
def test_an_error_visible_at_submission_is_rejected_at_once(
    jobs: Stack, http: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    mine = bearer("lister")
    before = http.get("/jobs", headers=mine).json()["jobs"]
    answer = http.post("/predict", content=content, headers=headers | ASYNC | mine)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert http.get("/jobs", headers=mine).json()["jobs"] == before


def test_nan_in_an_array_fails_the_job(jobs: Stack, http: httpx.Client) -> None:
    X = np.ones((5000, 4))
    X[4321, 2] = np.nan
    id = http.post("/predict", content=_npy(X), headers=NPY | ASYNC).json()["jobID"]
    assert jobs.follow(id)["problem"]["row"] == 4321


def test_the_document_of_a_job(jobs: Stack, http: httpx.Client) -> None:
    id = _run(jobs, http, json=POINTS)
    document = http.get(f"/jobs/{id}").json()
    assert document["type"] == "process"
    assert document["processID"] == "predict"
    assert document["created"] <= document["started"] <= document["finished"]
    assert [link["href"] for link in document["links"]] == [f"/jobs/{id}", f"/jobs/{id}/results"]
    json.dumps(document)


def test_an_unknown_job_is_404(http: httpx.Client) -> None:
    for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
        answer = http.request(method, f"/jobs/0123456789{path}")
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/no-such-job")


def test_head_starts_no_job(http: httpx.Client) -> None:
    mine = bearer("lister")
    before = http.get("/jobs", headers=mine).json()["jobs"]
    path = "/predict?lat=-20&long=181&depth=500&stations=30"
    answer = http.head(path, headers=ASYNC | mine)
    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert http.get("/jobs", headers=mine).json()["jobs"] == before


def test_too_many_draws_of_an_array_are_rejected_at_once(http: httpx.Client) -> None:
    answer = http.post(
        "/predict?samples=1000", content=_npy(np.ones((1001, 4))), headers=NPY | ASYNC
    )
    assert answer.status_code == 413
    assert "1000 samples of 1001 points are more than 1000000" in answer.json()["detail"]


def test_too_many_draws_of_a_table_are_rejected_before_the_worker_makes_them(
    http: httpx.Client, table: bytes
) -> None:
    """It would make them for one row, to see how long a row takes."""
    headers = {"Content-Type": "text/csv"} | ASYNC
    path = "/predict?samples=9999&pathwise=true"
    answer = http.post(path, content=table, headers=headers)
    assert answer.status_code == 413
    assert "pathwise" in answer.json()["detail"]
