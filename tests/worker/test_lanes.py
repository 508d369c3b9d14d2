"""Short work does not wait for long work: trainings, and the parts of large predictions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from service.jobs.queue import BELL, JOBS, PARTS
from service.worker.lane import Turns
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.stack import TOKEN, Stack, stack

CSV = {"Content-Type": "text/csv", "Prefer": "respond-async"}
_IDLE_SECONDS = 6
ROW = b"-20,181,500,30\n"


def _post(system: Stack, rows: int) -> str:
    answer = plainhttp.post(f"{system.http}/predict", content=ROW * rows, headers=CSV)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobID"])


def _train(system: Stack) -> str:
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{x},{np.sin(9 * x) + rng.normal(0, 0.1)}" for x in rng.uniform(size=900))
    answer = plainhttp.post(
        f"{system.http}/train",
        params={"target": "y", "restarts": 100, "activate": False},
        content=f"x,y\n{rows}",
        headers=CSV | TOKEN,
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobID"])


def _job(system: Stack, id: str) -> dict[str, Any]:
    return dict(plainhttp.get(f"{system.http}/jobs/{id}", headers=TOKEN).json())


def test_a_prediction_does_not_wait_for_a_training(tmp_path: Path) -> None:
    with stack(tmp_path) as one_worker:
        _train_and_predict(one_worker)


def _train_and_predict(one_worker: Stack) -> None:
    trainings = [_train(one_worker) for _ in range(2)]
    until(lambda: "fitting" in _job(one_worker, trainings[0])["message"])
    assert one_worker.follow(_post(one_worker, 1))["status"] == "successful"
    assert one_worker.follow(_post(one_worker, 3000))["status"] == "successful"
    statuses = [_job(one_worker, id)["status"] for id in trainings]
    assert statuses == ["running", "accepted"]
    for id in trainings:
        plainhttp.delete(f"{one_worker.http}/jobs/{id}", headers=TOKEN)


def test_jobs_take_turns_whatever_their_size(tmp_path: Path) -> None:
    slow = "tests.jobs.slow:SlowGPR"  # half a second for 1280 rows
    with stack(tmp_path, model_class=slow, chunk_seconds=0.5) as one_worker:
        _send_while_a_huge_one_runs(one_worker)


def _send_while_a_huge_one_runs(one_worker: Stack) -> None:
    huge = _post(one_worker, 150_000)  # a minute's work
    until(lambda: _job(one_worker, huge).get("points", {}).get("done"))
    worker = f"http://{one_worker.workers[0].environ['GPSERVE_WORKER_BIND']}"
    for url in (one_worker.http, worker):  # the autoscalers see all parts, also those not queued
        until(lambda url=url: _gauge(url, "jobs_queued") > 50)  # type: ignore[misc]
    assert one_worker.follow(_post(one_worker, 1))["status"] == "successful"
    ended = one_worker.follow(_post(one_worker, 5000))
    assert (ended["status"], ended["points"]["done"]) == ("successful", 5000)
    assert _job(one_worker, huge)["status"] == "running"
    plainhttp.delete(f"{one_worker.http}/jobs/{huge}")
    for url in (one_worker.http, worker):
        until(lambda url=url: _gauge(url, "jobs_queued") == 0)  # type: ignore[misc]


def _gauge(url: str, name: str) -> float:
    lines = plainhttp.get(f"{url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_a_small_job_waits_for_at_most_one_part_and_a_part_for_at_most_one_turn() -> None:
    turns = Turns((PARTS, JOBS), seconds=1.0)
    assert turns.order() == [JOBS, PARTS]
    turns.took(PARTS, 5.0)
    assert turns.order() == [JOBS, PARTS]
    for _ in range(9):
        turns.took(JOBS, 0.1)
    assert turns.order() == [JOBS, PARTS]
    turns.took(JOBS, 0.2)
    assert turns.order() == [PARTS, JOBS]
    turns.took(PARTS, 5.0)
    assert turns.order() == [JOBS, PARTS]


def test_an_idle_service_asks_redis_little_and_a_job_wakes_it(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        assert system.follow(_post(system, 1))["status"] == "successful"

        def commands() -> int:
            return int(system.client().info("stats")["total_commands_processed"])

        time.sleep(1)
        before = commands()
        time.sleep(_IDLE_SECONDS)
        assert commands() - before < 60 * _IDLE_SECONDS  # polling every 50 ms took 200 per second
        assert system.client().pubsub_numsub(BELL) == [(BELL.encode(), 1)]
        assert system.follow(_post(system, 1))["status"] == "successful"


def test_a_worker_that_may_not_subscribe_still_takes_jobs(tmp_path: Path) -> None:
    """As with the access control of some managed Redis, and behind some proxies."""
    with stack(tmp_path, workers=0) as system:
        redis = system.client()
        redis.acl_setuser(
            "silent", enabled=True, nopass=True, keys=["*"], categories=["+@all"], channels=[],
            reset_channels=True,
        )  # fmt: skip
        url = f"{system.url}?username=silent&password=x"
        system.add_worker(redis_url=url)
        assert system.follow(_post(system, 1))["status"] == "successful"
        assert "the queue is polled" in system.workers[0].log.read_text()
