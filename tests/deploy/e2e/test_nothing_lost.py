"""No request is lost while pods come and go."""

from __future__ import annotations

import json
from collections.abc import Callable

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.deploy.e2e.cluster import Release, eventually

RATE, REQUESTS = 500.0, 50_000


def evict(release: Release, pod: str) -> None:
    """Evict a pod through the eviction API, as `kubectl drain` does."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": release.namespace},
    }
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
    release.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))


def watch_on(traffic: Traffic, seconds: float) -> None:
    end = traffic.now + seconds
    eventually(f"{seconds} s of traffic", 2 * seconds, lambda: traffic.now > end)


def test_50_000_requests_while_pods_come_and_go(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    release.install({"autoscaling": {"mode": "none"}, "replicaCount": 2})
    reachable()
    deployment = f"deployment/{release.deployment}"
    events: dict[str, Callable[[], object]] = {
        "scale-up": lambda: release.scale(4),
        "scale-down": lambda: release.scale(2),
        "rollout restart": lambda: release.kubectl("rollout", "restart", deployment),
        "eviction": lambda: evict(release, release.pod_names()[0]),
        "delete pod": lambda: release.kubectl("delete", "pod", release.pod_names()[0]),
    }
    lines = []
    with Traffic(steps([RATE], 900), target) as traffic:
        eventually("traffic", 120, lambda: traffic.outcomes()["ok"] > 1000)
        for name, event in events.items():
            before = traffic.outcomes()
            event()
            release.settle()
            watch_on(traffic, 10)
            during = traffic.outcomes() - before
            lines.append(f"{name}: {during.total()} requests, {dict(during)}")
        eventually("enough requests", 600, lambda: traffic.outcomes().total() > REQUESTS)
        traffic.stop()
        outcomes = traffic.outcomes()
    measured("\n".join([*lines, f"in all {outcomes.total()} requests, {dict(outcomes)}"]))
    assert outcomes.total() >= REQUESTS
    assert outcomes.keys() == {"ok"}, outcomes
