"""Jobs belong to the key that they were sent with."""

from __future__ import annotations

import httpx
import pytest

from tests.helpers.stack import TOKEN, Stack, bearer

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
