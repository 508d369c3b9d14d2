"""Quotas of jobs: how many of a caller are open, and how many bytes their inputs take up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.jobs.quotas import Held, Quotas
from tests.helpers import plainhttp
from tests.helpers.stack import Stack, bearer, stack, write_keys

ASYNC = {"Prefer": "respond-async"}
POINT = "/predict?lat=-20&long=181&depth=500&stations=30"
MOST_BYTES = {"other": 300, "lister": 300, "patient": 500_000}
DAY = 86_400


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Without a worker, so that every job stays open."""
    folder: Path = tmp_path_factory.mktemp("limited")
    bytes_of = {name: f"job_bytes = {most}" for name, most in MOST_BYTES.items()}
    keys = write_keys(folder / "k.toml", mine="open_jobs = 4", **bytes_of)
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


def table(size: int) -> bytes:
    header, row = b"lat,long,depth,stations\n", b"-20,181,500,30\n"
    return header + row * ((size - len(header)) // len(row))


def post(limited: Stack, name: str, size: int) -> httpx.Response:
    headers = ASYNC | bearer(name) | {"Content-Type": "text/csv"}
    return plainhttp.post(f"{limited.http}/predict", content=table(size), headers=headers)


def make_due(limited: Stack, id: str, owner: str) -> None:
    """Let the time come to look whether the job is still there."""
    assert limited.client().zadd("gpserve:due", {f"{id} {owner}": 0}, xx=True, ch=True) == 1


def fall_silent(limited: Stack, id: str, owner: str) -> None:
    """Make the last bytes of an upload as old as those of a server that has died."""
    limited.client().zadd(f"gpserve:open:{owner}", {id: 0}, xx=True)
    make_due(limited, id, owner)


def test_inputs_that_arrive_at_the_same_time_do_not_pass_the_limit_of_bytes(
    limited: Stack,
) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(limited, "patient", 300_000), range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429]
    accepted = len(table(300_000))
    assert limited.client().hget("gpserve:bytes", "key:patient") == b"%d" % accepted
    fits, too_large = (post(limited, "patient", size).status_code for size in (150_000, 150_000))
    assert (fits, too_large) == (202, 429)


def test_a_keys_inputs_count_until_their_jobs_expire(limited: Stack) -> None:
    id = post(limited, "other", 200).json()["jobID"]
    refused = post(limited, "other", 200)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    used = len(table(200))
    assert f"take up {used} of 300 bytes" in refused.json()["detail"]

    make_due(limited, id, "key:other")
    assert post(limited, "other", 200).status_code == 429
    plainhttp.delete(f"{limited.http}/jobs/{id}", headers=bearer("other"))
    make_due(limited, id, "key:other")
    assert post(limited, "other", 200).status_code == 429

    limited.client().delete(f"gpserve:job:{id}")
    make_due(limited, id, "key:other")
    assert post(limited, "other", 200).status_code == 202


def test_an_input_that_is_larger_than_the_limit_is_not_asked_for_again(limited: Stack) -> None:
    refused = post(limited, "lister", 400)
    assert refused.status_code == 429
    assert "Retry-After" not in refused.headers
    assert "send fewer rows" in refused.json()["detail"]
    assert post(limited, "lister", 300).status_code == 202


def test_what_a_killed_server_was_receiving_does_not_count_for_ever(limited: Stack) -> None:
    quotas, owner = Quotas(limited.client(), DAY), "a killed server's"
    ids = [f"{i:032x}" for i in range(3)]
    for id in ids:
        assert quotas.hold(id, owner, 100, 3, 300).refused == ""
        make_due(limited, id, owner)
    assert quotas.hold("new", owner, 1, 3, 300) == Held("open", 0)
    assert quotas.hold("new", owner, 1, 4, 300) == Held("bytes", 300)
    fall_silent(limited, ids[0], owner)
    assert quotas.hold("new", owner, 1, 3, 300) == Held("", 200)
    assert quotas.hold("new", owner, 101, 3, 300) == Held("bytes", 200)


def test_open_jobs_that_nobody_knows_do_not_count_for_ever(limited: Stack) -> None:
    """An older version did not note when to look at them."""
    limited.client().zadd("gpserve:open:old", {"left": 0})
    assert Quotas(limited.client(), DAY).hold("newer", "old", 1, 1, 1) == Held("", 0)


def test_all_expired_jobs_are_forgotten(limited: Stack) -> None:
    redis, owner, count = limited.client(), "a busy caller", 2500
    quotas = Quotas(redis, DAY)
    for i in range(count):
        assert quotas.hold(str(i), owner, 1, count, count).refused == ""
        redis.zadd(f"gpserve:owner:{owner}", {str(i): i})
    redis.delete(f"gpserve:open:{owner}")  # they have ended
    for i in range(count):
        make_due(limited, str(i), owner)
    assert quotas.hold("newest", owner, 1, 1, 1) == Held("", 0)
    assert redis.zrange(f"gpserve:open:{owner}", 0, -1) == [b"newest"]
    assert redis.hget("gpserve:bytes", owner) == b"1"
    assert not redis.exists(f"gpserve:owner:{owner}")
    assert redis.hlen("gpserve:size") == redis.zcard("gpserve:due")


def test_a_refused_job_is_released_also_where_redis_is_full(limited: Stack) -> None:
    redis, owner = limited.client(), "a full Redis's"
    quotas = Quotas(redis, DAY)
    quotas.hold("refused", owner, 10, 1, 10)
    redis.config_set("maxmemory", 1)
    try:
        quotas.release("refused", owner)
    finally:
        redis.config_set("maxmemory", 0)
    assert redis.hget("gpserve:bytes", owner) is None
    assert quotas.hold("next", owner, 10, 1, 10).refused == ""
