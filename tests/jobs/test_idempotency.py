"""Idempotency keys: repeating a request returns the same job; an aborted one frees its key."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.helpers.patience import until
from tests.helpers.stack import Stack
from tests.helpers.wire import read_to_the_end

ASYNC = {"Prefer": "respond-async"}
POINT = {"points": [-20, 181, 500, 30]}
ROW = b"-20,181,500,30\n"
CHUNK = b"%x\r\n%b\r\n" % (len(ROW), ROW)
HEADERS = ASYNC | {"Content-Type": "text/csv", "Accept": "*/*"}


def name_of(key: str) -> str:
    return f"gpserve:key:anonymous:{hashlib.sha256(key.encode()).hexdigest()}"


def post(http: httpx.Client, key: str, body: bytes = ROW + ROW) -> httpx.Response:
    return http.post("/predict", content=body, headers=HEADERS | {"Idempotency-Key": key})


@contextmanager
def half_an_upload(jobs: Stack, key: str) -> Iterator[socket.socket]:
    """Send the first of two rows, so that the key is held; yield the open connection."""
    head = "POST /predict HTTP/1.1\r\nHost: gp\r\nConnection: close\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head += f"Idempotency-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with jobs.servers[0].connect() as wire:
        wire.sendall(head.encode() + CHUNK)
        until(lambda: jobs.client().exists(name_of(key)))
        yield wire


def finish(wire: socket.socket) -> bytes:
    wire.sendall(CHUNK + b"0\r\n\r\n")
    return read_to_the_end(wire)


def test_repeating_a_request_with_its_idempotency_key_returns_the_same_job(
    jobs: Stack, http: httpx.Client
) -> None:
    headers = ASYNC | {"Idempotency-Key": "an-experiment"}
    first, again = (http.post("/predict", json=POINT, headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert first.json()["jobID"] == again.json()["jobID"]
    other = http.post("/predict", json={**POINT, "noise": False}, headers=headers)
    assert other.status_code == 422
    moved = {"points": [-21, 181, 500, 30]}  # as many bytes as POINT
    assert http.post("/predict", json=moved, headers=headers).status_code == 422
    bad = ASYNC | {"Idempotency-Key": "failed-at-first"}
    assert http.post("/predict", json={"points": [1]}, headers=bad).status_code == 422
    assert http.post("/predict", json=POINT, headers=bad).status_code == 202


def test_a_repeated_form_returns_the_same_job_despite_a_new_boundary(http: httpx.Client) -> None:
    headers = ASYNC | {"Idempotency-Key": "a-form"}
    sent = [ROW, ROW, b"-21,181,500,30\n"]
    first, again, other = (
        http.post("/predict", files={"file": ("a.csv", data)}, headers=headers) for data in sent
    )
    assert first.json()["jobID"] == again.json()["jobID"]
    assert other.status_code == 422


def test_a_key_is_released_when_its_lease_expires(jobs: Stack, http: httpx.Client) -> None:
    with half_an_upload(jobs, "lease") as wire:
        refused = post(http, "lease")
        assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
        assert 0 < jobs.client().pttl(name_of("lease")) <= 5_000
        assert finish(wire).startswith(b"HTTP/1.1 202 ")
    assert post(http, "lease").status_code == 202
    assert jobs.client().ttl(name_of("lease")) > 5


def test_a_request_that_lost_its_key_creates_no_second_job(jobs: Stack, http: httpx.Client) -> None:
    with half_an_upload(jobs, "lost") as wire:
        jobs.client().delete(name_of("lost"))  # as when the lease expires
        winner = post(http, "lost").json()["jobID"]
        assert finish(wire).startswith(b"HTTP/1.1 409 ")
    assert post(http, "lost").json()["jobID"] == winner


def test_a_request_that_stalled_ends_and_leaves_the_key_to_the_job_that_has_it(
    jobs: Stack, http: httpx.Client
) -> None:
    with half_an_upload(jobs, "stalled") as wire:
        jobs.client().delete(name_of("stalled"))  # as when the lease expires
        winner = post(http, "stalled").json()["jobID"]
        wire.setblocking(False)
        answer = until(lambda: more_of_the_upload(wire))
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert jobs.client().ttl(name_of("stalled")) > 5
    assert post(http, "stalled").json()["jobID"] == winner


def more_of_the_upload(wire: socket.socket) -> bytes:
    """Send more rows, but never the end; return the answer once there is one."""
    with suppress(BlockingIOError):
        wire.sendall(CHUNK * 10)
    with suppress(BlockingIOError):
        return wire.recv(65536)
    return b""


def test_a_slow_upload_keeps_its_key(jobs: Stack, http: httpx.Client) -> None:
    redis, name = jobs.client(), name_of("slow")
    with half_an_upload(jobs, "slow") as wire:
        redis.pexpire(name, 60_000)  # enough for this test, and more than any renewal

        def renewed() -> bool:
            wire.sendall(CHUNK * 10)  # far fewer bytes than a server reads at once
            return bool(0 < redis.pttl(name) <= 5_000)

        until(renewed)
        assert post(http, "slow").status_code == 409


def test_an_expired_lease_does_no_harm_if_the_key_is_unclaimed(
    jobs: Stack, http: httpx.Client
) -> None:
    with half_an_upload(jobs, "late") as wire:
        jobs.client().delete(name_of("late"))
        answer = finish(wire)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert post(http, "late").json()["jobID"].encode() in answer


def test_a_key_whose_job_is_gone_creates_a_new_job(jobs: Stack, http: httpx.Client) -> None:
    first = post(http, "gone").json()["jobID"]
    jobs.client().delete(f"gpserve:job:{first}")
    again = post(http, "gone")
    assert (again.status_code, again.headers["Retry-After"]) == (409, "1")
    assert post(http, "gone").json()["jobID"] != first
