"""Workers scale with the queue depth, up and down, and no job is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from loadtest.watch import Watch
from service.gpr import GPR
from tests.deploy.e2e import jobs
from tests.deploy.e2e.cluster import Release, api_groups, eventually, merged

JOBS, TABLES, ROWS, MOST = 36, 4, 20_000, 3

BEHAVIOUR = {
    "scaleDown": {
        "stabilizationWindowSeconds": 15,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
}
BY_HPA: dict[str, Any] = {"mode": "hpa", "minReplicas": 1, "queue": {"enabled": "always"}}
BY_KEDA: dict[str, Any] = {"mode": "keda", "minReplicas": 0, "keda": {"cooldownPeriod": 20}}


def install(release: Release, scaling: dict[str, Any]) -> None:
    """Install one web pod, and autoscaled workers with a third of a CPU each."""
    jobs.make_token(release)
    web = {"replicaCount": 1, "autoscaling": {"mode": "none"}}
    scaling = {**scaling, "maxReplicas": MOST, "behavior": BEHAVIOUR}
    worker = {"resources": {"limits": {"cpu": "300m"}}, "autoscaling": scaling}
    release.install(merged(jobs.values(release), {**web, "worker": worker}))


@contextmanager
def watched(release: Release) -> Iterator[Watch]:
    """Watch the workers' Deployment."""
    watch = Watch(release.namespace, f"{release.deployment}-worker")
    watch.begin(time.time())
    try:
        yield watch
    finally:
        watch.stop()


def ready(watch: Watch) -> int:
    return watch.samples[-1].ready if watch.samples else -1


def first_with(watch: Watch, workers: int, since: float) -> float:
    """Return how many seconds after a moment this many workers were first ready."""
    return next(s.time for s in watch.samples if s.time >= since and s.ready >= workers) - since


def down_to(watch: Watch, workers: int, since: float) -> float:
    """Return how many seconds after a moment more than this many were last ready."""
    return max(s.time for s in watch.samples if s.ready > workers) - since


def burst(http: httpx.Client, texts: list[str]) -> dict[str, str]:
    """Submit all jobs, and return the table of each."""
    return {jobs.submit(http, texts[i % TABLES]): texts[i % TABLES] for i in range(JOBS)}


def all_done(http: httpx.Client, submitted: dict[str, str]) -> bool:
    return all(jobs.status(http, job) == "successful" for job in submitted)


@pytest.mark.parametrize(
    ("scaling", "fewest"), [(BY_HPA, 1), (BY_KEDA, 0)], ids=["HPA", "KEDA from 0"]
)
def test_a_burst_of_jobs(
    scaling: dict[str, Any],
    fewest: int,
    release: Release,
    http: httpx.Client,
    reachable: Callable[[], None],
    measured: Callable[[str], None],
    gpr: GPR,
) -> None:
    if scaling is BY_KEDA and "keda.sh" not in api_groups():
        pytest.skip("no KEDA in this cluster")
    install(release, {"mode": "none"})  # KEDA rejects a Deployment that an HPA already scales
    install(release, scaling)
    reachable()
    texts = [jobs.table(gpr, ROWS, seed) for seed in range(TABLES)]
    with watched(release) as watch:
        eventually("rest", 240, lambda: ready(watch) == fewest)
        begun = time.time() - watch.started
        submitted = burst(http, texts)
        # A worker does it besides its other jobs. If it outlasts them, workers are removed while a
        # job is running.
        training = jobs.train(http, activate="false")
        eventually("all workers", 180, lambda: ready(watch) == MOST)
        # One worker is deleted in the middle of a chunk, whatever the autoscaler does.
        release.kubectl("delete", "pod", a_worker(release), "--wait=false")
        eventually("the last result", 600, lambda: all_done(http, submitted))
        predicted = time.time() - watch.started
        jobs.finish(http, training, 600)
        trained = time.time() - watch.started
        eventually("rest again", 240, lambda: ready(watch) == fewest)
    text = (
        f"{JOBS} jobs of {ROWS} points and a training; from {fewest} workers the first new one was "
        f"ready after {first_with(watch, fewest + 1, begun):.0f} s, {MOST} of them after "
        f"{first_with(watch, MOST, begun):.0f} s; all points predicted after "
        f"{predicted - begun:.0f} s, trained after {trained - begun:.0f} s; only one worker left "
        f"{down_to(watch, 1, predicted):.0f} s after the last prediction"
    )
    if fewest == 0:
        text += f", none {down_to(watch, 0, trained):.0f} s after the training"
    measured(text)
    answers = {text: synchronous(http, text) for text in texts}
    assert len(submitted) == JOBS
    for job, text in submitted.items():
        assert jobs.result(http, job) == answers[text]
    install(release, {"mode": "none"})


def a_worker(release: Release) -> str:
    """Return the name of a worker."""
    selector = ("--selector", "app.kubernetes.io/name=gpserve-worker")
    return str(release.get("pods", *selector)["items"][0]["metadata"]["name"])


def synchronous(http: httpx.Client, text: str) -> str:
    answer = http.post("/predict", content=text, headers=jobs.CSV)
    assert answer.status_code == 200, answer.text
    return answer.text
