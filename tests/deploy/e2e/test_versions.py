"""Train and activate under load: all replicas switch to the new model at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np

from loadtest.target import Target
from service.gpr import GPR
from service.model import FloatArray
from tests.deploy.e2e import jobs
from tests.deploy.e2e.cluster import Release, eventually, merged
from tests.deploy.e2e.versioned import VersionedTraffic

RATE, REPLICAS, CHANGES = 200.0, 3, 4


def activate(http: httpx.Client, version: str) -> float:
    """Activate a version, and return when the server confirmed it."""
    answer = http.post(f"/models/{version}/activate", headers=jobs.BEARER)
    assert answer.status_code == 200, answer.text
    return time.time()


def served(release: Release) -> set[str]:
    """Return the versions that the pods report."""
    found = set()
    for pod in release.pod_names():
        path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}:5000/proxy/readyz"
        found.add(json.loads(release.kubectl("get", "--raw", path))["version"])
    return found


def means(body: bytes) -> FloatArray:
    return np.array(json.loads(body)["mean"])


def test_train_and_activate_under_200_requests_per_second(
    release: Release,
    http: httpx.Client,
    target: Target,
    reachable: Callable[[], None],
    measured: Callable[[str], None],
    tmp_path: Path,
    X: FloatArray,
) -> None:
    jobs.make_token(release)
    web = {"replicaCount": REPLICAS, "autoscaling": {"mode": "none"}}
    release.install(merged(jobs.values(release), web))
    reachable()
    release.settle()
    points = X[:5]
    first = http.get("/model").json()["version"]
    waits = []
    with VersionedTraffic(target, RATE, {"points": points.tolist()}) as traffic:
        eventually("answers", 120, lambda: traffic.outcomes()["ok"] > RATE)
        job = jobs.train(http, kernel="Matern52", inducing="30")
        document = jobs.finish(http, job, 300)
        new = http.get(f"{job}/results", headers=jobs.BEARER).json()["version"]
        eventually("the new version", 120, lambda: traffic.last(new))
        waits.append(
            after(traffic, first, datetime.fromisoformat(document["finished"]).timestamp())
        )
        versions = served(release)
        for old, other in [(new, first), (first, new)] * (CHANGES // 2):
            done = activate(http, other)
            time.sleep(5)
            waits.append(after(traffic, old, done))
        (tmp_path / "new.npz").write_bytes(http.get("/model.npz").content)
    outcomes = traffic.outcomes()
    rate = outcomes.total() / (traffic.ended - traffic.begun)
    measured(
        f"{outcomes.total()} requests, {rate:.0f}/s, to {REPLICAS} replicas over a training and "
        f"{CHANGES} activations: {dict(outcomes)}\n"
        "the last old answer came, in seconds after the end of the training and after each "
        f"activation: {', '.join(f'{wait:.2f}' for wait in waits)}"
    )
    assert outcomes.keys() == {"ok"}, outcomes
    assert versions == {new}
    assert {answer.version for answer in traffic.answers} == {first, new}
    (of_first,), (of_new,) = traffic.of(first), traffic.of(new)
    model = GPR.load(tmp_path / "new.npz")
    np.testing.assert_allclose(means(of_new), model.predict(points)[:, 0], rtol=1e-9)
    assert not np.allclose(means(of_first), means(of_new), rtol=1e-9)


def after(traffic: VersionedTraffic, version: str, moment: float) -> float:
    """Return how many seconds after a moment the last answer of a version arrived."""
    last = traffic.last(version, since=moment)
    return 0.0 if last is None else last - moment
