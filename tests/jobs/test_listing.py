"""The list of a caller's jobs, filtered by the parameters of OGC API – Processes."""

from __future__ import annotations

import httpx
import pytest

from tests.helpers.stack import Stack, bearer

ASYNC = {"Prefer": "respond-async"}
POINT = "/predict?lat=-20&long=181&depth=500&stations=30"


def test_jobs_are_filtered_by_parameters(jobs: Stack, http: httpx.Client) -> None:
    mine = bearer("lister")
    ids = []
    for _ in range(3):
        ids.append(http.get(POINT, headers=ASYNC | mine).json()["jobID"])
        assert jobs.follow(ids[-1], mine)["status"] == "successful"

    def listed(**parameters: str | int) -> list[str]:
        answer = http.get("/jobs", params=parameters, headers=mine)
        assert answer.status_code == 200, answer.text
        return [document["jobID"] for document in answer.json()["jobs"]]

    newest_first = ids[::-1]
    assert listed() == newest_first
    assert listed(limit=2) == newest_first[:2]
    assert listed(status="successful", limit=1) == newest_first[:1]
    assert listed(processID="predict") == newest_first
    assert listed(status="failed") == listed(processID="train") == []


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("status=lost", "status"),
        ("offset=3", "offset"),
    ],
)
def test_an_invalid_filter_is_rejected_with_a_reason(
    http: httpx.Client, parameters: str, reason: str
) -> None:
    answer = http.get(f"/jobs?{parameters}", headers=bearer("lister"))
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]
