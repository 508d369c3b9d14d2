"""The life of a job: cancelled, queued again, rejected, expired."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.storage import open_blobs
from tests.helpers import plainhttp
from tests.helpers.patience import report_if_late, until
from tests.helpers.serving import FLASK_ALONE, serving
from tests.helpers.stack import TOKEN, Stack, bearer, stack

CSV = {"Content-Type": "text/csv"}
ASYNC = {"Prefer": "respond-async"}
ROW = b"-20,181,500,30\n"
POINT = {"points": [-20, 181, 500, 30]}
TTL_SECONDS = 3600


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker that never finishes a prediction of more than 256 rows, and uses no chunks."""
    with stack(
        tmp_path_factory.mktemp("stuck"),
        model_class="tests.jobs.slow:StuckGPR",
        max_open_jobs=3,
        job_ttl_seconds=TTL_SECONDS,
        graceful_seconds=1,
        chunk_seconds=1000,
    ) as system:
        yield system


def _post(system: Stack, content: bytes, **headers: str) -> httpx.Response:
    return plainhttp.post(f"{system.http}/predict", content=content, headers=CSV | ASYNC | headers)


def _listed(http: httpx.Client) -> set[str]:
    listed = http.get("/jobs", headers=bearer("lister")).json()["jobs"]
    return {document["jobID"] for document in listed}


def test_a_running_job_is_cancelled_within_two_seconds(stuck: Stack) -> None:
    id = _post(stuck, ROW * 1000).json()["jobID"]
    url = f"{stuck.http}/jobs/{id}"
    until(lambda: plainhttp.get(url).json()["status"] == "running")
    early = plainhttp.get(f"{url}/results")
    assert early.status_code == 404
    assert early.json()["type"].endswith("/result-not-ready")
    time.sleep(1)  # now it is inside the call that cannot be interrupted
    dismissed = plainhttp.delete(url)
    assert dismissed.status_code == 200
    assert dismissed.json()["status"] == "dismissed"
    started = time.monotonic()
    metrics = f"http://{stuck.workers[0].environ['GPSERVE_WORKER_BIND']}/metrics"
    until(lambda: "worker_busy 0.0" in plainhttp.get(metrics).text)
    report_if_late("cancelling a job", time.monotonic() - started, 2)
    assert plainhttp.get(url).json()["status"] == "dismissed"
    assert plainhttp.get(f"{url}/results").status_code == 410
    assert plainhttp.delete(url).json()["status"] == "dismissed"

    after = _post(stuck, ROW).json()["jobID"]  # the worker still takes jobs
    ended = stuck.follow(after)
    assert ended["status"] == "successful"
    assert plainhttp.delete(f"{stuck.http}/jobs/{after}").json() == ended
    assert plainhttp.get(f"{stuck.http}/jobs/{after}/results").status_code == 200


def test_too_many_open_jobs_are_rejected_until_some_are_dismissed(stuck: Stack) -> None:
    mine = bearer("mine")
    ids = [_post(stuck, ROW * 1000, **mine).json()["jobID"] for _ in range(3)]
    refused = _post(stuck, ROW, **mine)
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers
    assert _post(stuck, ROW).status_code == 202  # another caller
    listed = plainhttp.get(f"{stuck.http}/jobs", headers=mine).json()["jobs"]
    assert [document["jobID"] for document in listed] == ids[::-1]
    for id in ids:
        dismissed = plainhttp.delete(f"{stuck.http}/jobs/{id}", headers=mine)
        assert dismissed.json()["status"] == "dismissed"
    assert _post(stuck, ROW, **mine).status_code == 202


def test_an_expired_job_is_deleted_with_its_data(stuck: Stack) -> None:
    mine = bearer("lister")
    id = _post(stuck, ROW, **mine).json()["jobID"]
    stuck.follow(id, mine)
    blobs = open_blobs(f"file://{stuck.folder / 'store'}")
    assert blobs.names(f"jobs/{id}/")
    redis = stuck.client()
    keys = [f"gpserve:job:{id}", f"gpserve:done:{id}"]
    assert [0 < redis.ttl(key) <= TTL_SECONDS for key in keys] == [True, True]
    for key in keys:
        redis.expire(key, 0)
    assert plainhttp.get(f"{stuck.http}/jobs/{id}", headers=mine).status_code == 404
    redis.delete("gpserve:sweeper")  # otherwise the sweeper waits a minute
    until(lambda: blobs.names(f"jobs/{id}/") == [])
    assert id not in plainhttp.get(f"{stuck.http}/jobs", headers=mine).text


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_an_aborted_upload_creates_no_job(jobs: Stack, http: httpx.Client, end: bytes) -> None:
    before = _listed(http)
    with jobs.servers[0].connect() as connection:
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        head += f"Authorization: {bearer('lister')['Authorization']}\r\n"
        head += "Prefer: respond-async\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"%x\r\n%b\r\n" % (len(ROW * 9), ROW * 9))
        connection.sendall(b"20\r\n" + ROW + end)
        time.sleep(0.5)
    time.sleep(1)
    assert _listed(http) == before


def test_a_request_that_would_take_too_long_is_offered_as_a_job(tmp_path: Path) -> None:
    with stack(tmp_path, max_sync_seconds=0.001) as system:
        body = ROW * 3000
        refused = plainhttp.post(f"{system.http}/predict", content=body, headers=CSV)
        assert refused.status_code == 413
        assert "respond-async" in refused.json()["detail"]
        accepted = plainhttp.post(
            f"{system.http}/predict", content=body, headers=CSV | {"Prefer": "wait=10"}
        )
        assert accepted.status_code == 202
        assert system.follow(accepted.json()["jobID"])["points"]["total"] == 3000
        small = plainhttp.post(f"{system.http}/predict", json=POINT, headers={"Prefer": "wait=10"})
        assert small.status_code == 200


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf", ""])
def test_an_invalid_wait_is_ignored(http: httpx.Client, wait: str) -> None:
    answer = http.post("/predict", json=POINT, headers={"Prefer": f"wait={wait}"})
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    ("preference", "applied"),
    [
        ("Respond-Async", "respond-async"),
        ("respond-async, wait=10", "respond-async"),
        ("return=minimal, respond-async; why=because", "respond-async"),
        ("wait=0", "wait=0"),
        ("wait=0, wait=100", "wait=0"),
        ('wait="0"; patiently', "wait=0"),
    ],
)
def test_a_job_names_the_preference_that_made_it_one(
    http: httpx.Client, preference: str, applied: str
) -> None:
    answer = http.post("/predict", json=POINT, headers={"Prefer": preference})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == applied


@pytest.mark.parametrize(
    ("preference", "applied"), [({}, None), (ASYNC, "respond-async"), ({"Prefer": "wait=5"}, None)]
)
def test_a_training_names_a_preference_only_if_there_was_one(
    http: httpx.Client, preference: dict[str, str], applied: str | None
) -> None:
    table = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(12))
    answer = http.post("/train", content=table, headers=TOKEN | CSV | preference)
    assert answer.status_code == 202
    assert answer.headers.get("Preference-Applied") == applied
    http.delete(answer.headers["Location"], headers=TOKEN)


@pytest.mark.parametrize("arguments", [(), FLASK_ALONE])
def test_without_a_queue_predictions_work_and_job_requests_fail(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with serving(tmp_path, *arguments, token="secret") as plain:
        assert plainhttp.post(f"{plain.url}/predict", json=POINT).status_code == 200
        at_once = plainhttp.post(f"{plain.url}/predict", json=POINT, headers=ASYNC)
        assert at_once.status_code == 200
        assert "Preference-Applied" not in at_once.headers
        token = {"Authorization": "Bearer secret"}
        for method, path, headers in (
            ("POST", "/train", token | ASYNC),
            ("GET", "/jobs", {}),
            ("GET", "/jobs/1", {}),
            ("DELETE", "/jobs/1", {}),
        ):
            answer = plainhttp.request(method, plain.url + path, headers=headers, json=POINT)
            assert answer.status_code == 503, path
            assert "REDIS_URL" in answer.json()["detail"]


def test_a_worker_requeues_what_it_cannot_finish(stuck: Stack) -> None:
    id = _post(stuck, ROW * 1000).json()["jobID"]
    until(lambda: plainhttp.get(f"{stuck.http}/jobs/{id}").json()["status"] == "running")
    assert stuck.workers[0].end(signal.SIGTERM) == 0
    queued = stuck.client().llen("gpserve-queue:jobs")
    assert queued >= 1
    plainhttp.delete(f"{stuck.http}/jobs/{id}")
    stuck.workers[0].start()
    assert stuck.follow(_post(stuck, ROW).json()["jobID"])["status"] == "successful"


def test_server_and_workers_export_the_queue_depth(stuck: Stack) -> None:
    ids = [_post(stuck, ROW * 1000).json()["jobID"] for _ in range(2)]
    worker = f"http://{stuck.workers[0].environ['GPSERVE_WORKER_BIND']}"
    for url in (stuck.http, worker):
        until(lambda url=url: _shows(url, jobs_queued=1, jobs_running=1))  # type: ignore[misc]
    assert plainhttp.get(f"{worker}/healthz").status_code == 200
    assert plainhttp.get(f"{worker}/readyz").status_code == 200
    for id in ids:
        plainhttp.delete(f"{stuck.http}/jobs/{id}")
    until(lambda: _shows(worker, jobs_queued=0, jobs_running=0))


def _shows(url: str, **gauges: int) -> bool:
    lines = plainhttp.get(f"{url}/metrics").text.splitlines()
    return all(f"{name} {float(value)}" in lines for name, value in gauges.items())
