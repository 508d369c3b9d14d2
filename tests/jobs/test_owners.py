"""Jobs belong to the key that they were sent with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.helpers import plainhttp
from tests.helpers.stack import TOKEN, Stack, bearer, stack, write_keys

ASYNC = {"Prefer": "respond-async"}
POINT = "/predict?lat=-20&long=181&depth=500&stations=30"


def send(http: httpx.Client, headers: dict[str, str]) -> str:
    answer = http.get(POINT, headers=ASYNC | headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobID"])


def listed(http: httpx.Client, headers: dict[str, str]) -> set[str]:
    return {job["jobID"] for job in http.get("/jobs", headers=headers).json()["jobs"]}


@pytest.mark.parametrize("stranger", [bearer("other"), bearer("trainer"), {}], ids=str)
def test_two_keys_never_see_fetch_or_cancel_each_others_jobs(
    jobs: Stack, http: httpx.Client, stranger: dict[str, str]
) -> None:
    mine = bearer("mine")
    id = send(http, mine)
    for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
        refused = http.request(method, f"/jobs/{id}{path}", headers=stranger)
        assert refused.status_code == 404
        assert refused.json()["type"].endswith("/no-such-job")
    if stranger:
        assert id not in listed(http, stranger)
    assert jobs.follow(id, mine)["status"] == "successful"
    assert id in listed(http, mine)
    assert http.get(f"/jobs/{id}/results", headers=mine).status_code == 200
    assert http.get(f"/jobs/{id}", headers=TOKEN).status_code == 200  # the admin's


def test_a_job_without_a_key_is_found_by_its_id_and_never_listed(
    jobs: Stack, http: httpx.Client
) -> None:
    id = send(http, {})
    for caller in ({}, bearer("mine"), TOKEN):
        assert jobs.follow(id, caller)["status"] == "successful"
    assert id not in listed(http, TOKEN) | listed(http, bearer("mine"))
    refused = http.get("/jobs")
    assert refused.status_code == 401
    assert "by its id" in refused.json()["detail"]


def test_an_idempotency_key_belongs_to_its_caller(jobs: Stack, http: httpx.Client) -> None:
    same = {"Idempotency-Key": "the same"}
    mine, other = (send(http, bearer(name) | same) for name in ("mine", "other"))
    assert mine != other
    assert send(http, bearer("mine") | same) == mine


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Without a worker, so that every job stays open."""
    folder: Path = tmp_path_factory.mktemp("limited")
    keys = write_keys(folder / "k.toml", mine="open_jobs = 4", other="job_bytes = 100")
    with stack(folder, workers=0, keys=keys, max_open_jobs=50) as system:
        yield system


def test_requests_at_the_same_time_do_not_pass_the_limit_of_open_jobs(limited: Stack) -> None:
    def ask(_: int) -> int:
        headers = ASYNC | bearer("mine")
        return plainhttp.get(limited.http + POINT, headers=headers).status_code

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(ask, range(24))) == [202] * 4 + [429] * 20
    listed = plainhttp.get(f"{limited.http}/jobs", headers=bearer("mine")).json()["jobs"]
    first = plainhttp.delete(f"{limited.http}/jobs/{listed[0]['jobID']}", headers=bearer("mine"))
    assert first.json()["status"] == "dismissed"
    assert [ask(0), ask(0)] == [202, 429]


def test_a_refused_input_does_not_count_as_an_open_job(limited: Stack) -> None:
    headers = ASYNC | bearer("trainer") | {"Content-Type": "text/csv"}
    with plainhttp.Client(base_url=limited.http) as http:
        for _ in range(60):
            refused = http.post("/train?target=no", content=b"a\n1\n", headers=headers)
            assert refused.status_code == 422
        accepted = http.post("/train?target=y", content=rows(20), headers=headers)
        assert accepted.status_code == 202, accepted.text


def rows(n: int) -> bytes:
    return b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i % 7) for i in range(n))


def test_the_size_of_a_keys_jobs_is_limited(limited: Stack) -> None:
    headers = ASYNC | bearer("other") | {"Content-Type": "text/csv"}
    body = b"lat,long,depth,stations\n" + b"-20,181,500,30\n" * 10
    first, second = (
        plainhttp.post(f"{limited.http}/predict", content=body, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 429)
    assert "100 bytes" in second.json()["detail"]
