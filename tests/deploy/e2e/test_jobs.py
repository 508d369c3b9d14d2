"""Jobs with the bundled Valkey: all replicas accept them, and they survive upgrades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.gpr import GPR
from tests.deploy.e2e import jobs
from tests.deploy.e2e.cluster import Release, eventually, merged
from tests.deploy.e2e.monitoring import expressions, prometheus, values

ROWS = 5000


@pytest.fixture(scope="module")
def with_jobs(release: Release) -> Release:
    """The release with two web pods, two workers and Valkey."""
    jobs.make_token(release)
    replicas = {"replicaCount": 2, "autoscaling": {"mode": "none"}, "worker": {"replicaCount": 2}}
    release.install(merged(jobs.values(release), replicas))
    return release


def password(release: Release) -> str:
    secret = release.get("secret", f"{release.deployment}-valkey")
    return str(secret["data"]["password"])


@pytest.fixture(scope="module")
def job(with_jobs: Release, http: httpx.Client, reachable: Callable[[], None], gpr: GPR) -> str:
    """The URL of a job that has succeeded."""
    reachable()
    done = jobs.submit(http, jobs.table(gpr, ROWS, seed=1))
    jobs.finish(http, done)
    return done


def test_a_jobs_result_is_the_synchronous_answer(http: httpx.Client, gpr: GPR, job: str) -> None:
    text = jobs.table(gpr, ROWS, seed=1)
    answer = http.post("/predict", content=text, headers=jobs.CSV)
    assert answer.status_code == 200, answer.text
    assert jobs.result(http, job) == answer.text


def test_a_worker_exposes_its_health_and_metrics(with_jobs: Release) -> None:
    found = with_jobs.get("pods", "--selector", "app.kubernetes.io/name=gpserve-worker")["items"]
    assert len(found) == 2
    pods = f"/api/v1/namespaces/{with_jobs.namespace}/pods"
    paths = [f"{pods}/{pod['metadata']['name']}:5002/proxy/metrics" for pod in found]

    def without_a_queue() -> list[str]:
        texts = [with_jobs.kubectl("get", "--raw", path) for path in paths]
        return texts if all("jobs_queued 0.0" in text for text in texts) else []

    # A worker looks at the queue every two seconds.
    texts = eventually("no job is queued", 30, without_a_queue)
    counts = [line for text in texts for line in text.splitlines() if line.startswith("jobs_total")]
    assert [line for line in counts if 'status="successful"' in line]


def test_the_dashboards_job_panels_have_data(with_jobs: Release, job: str) -> None:
    with prometheus() as client:
        for expression in expressions("Jobs"):

            def shown(query: str = expression) -> list[Any]:
                return values(client, query, with_jobs.namespace)

            assert eventually(expression, 60, shown)


def test_an_upgrade_keeps_password_and_jobs(
    with_jobs: Release, http: httpx.Client, reachable: Callable[[], None], job: str
) -> None:
    before = password(with_jobs), jobs.result(http, job)
    replicas = {"replicaCount": 2, "autoscaling": {"mode": "none"}, "worker": {"replicaCount": 1}}
    level = {"settings": {"GPSERVE_LOG_LEVEL": "warning"}}
    with_jobs.install(merged(merged(jobs.values(with_jobs), replicas), level))
    reachable()
    assert (password(with_jobs), jobs.result(http, job)) == before


def test_jobs_survive_the_loss_of_valkeys_pod(
    with_jobs: Release, http: httpx.Client, gpr: GPR, job: str
) -> None:
    if not jobs.has_storage(with_jobs):
        pytest.skip("no default StorageClass in this cluster: Valkey's data are lost with its pod")
    before = jobs.result(http, job)
    with_jobs.kubectl("delete", "pod", f"{with_jobs.deployment}-valkey-0")
    text = jobs.table(gpr, 50, seed=2)
    headers = {**jobs.CSV, "Prefer": "respond-async"}
    eventually(
        "a queue that accepts jobs again",
        120,
        lambda: http.post("/predict", content=text, headers=headers).status_code == 202,
    )
    assert jobs.result(http, job) == before
