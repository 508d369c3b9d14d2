"""A running pod uses a new CPU limit within seconds: no restart, no failed request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.deploy.e2e.cluster import Release, eventually

BEFORE, AFTER = "200m", "1"
POINTS, RATE = 500, 150.0


def resize(release: Release, pod: str, cpu: str) -> None:
    patch = {"spec": {"containers": [{"name": "gpserve", "resources": {"limits": {"cpu": cpu}}}]}}
    release.kubectl("patch", "pod", pod, "--subresource", "resize", "--patch", json.dumps(patch))


def container(release: Release) -> dict[str, Any]:
    (pod,) = release.pods()
    return dict(pod["status"]["containerStatuses"][0])


def rate(traffic: Traffic, begin: int, end: int) -> float:
    seconds = traffic.read()
    return sum(seconds[s].served for s in range(begin, end) if s in seconds) / (end - begin)


def test_resize_in_place(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    limits = {"resources": {"limits": {"cpu": BEFORE}}, "replicaCount": 1}
    release.install({**limits, "autoscaling": {"mode": "none"}})
    reachable()
    release.settle()
    (pod,) = release.pod_names()
    if "resize" not in release.kubectl("get", "--raw", "/api/v1"):
        pytest.skip("this Kubernetes has no pods/resize (1.33 and later have)")
    old = container(release)
    # More load than one core can serve, from so few users that no request waits too long.
    with Traffic(steps([RATE], 600), target, points=POINTS, rate_per_user=30) as traffic:
        eventually("20 s of traffic", 60, lambda: traffic.now > 20)
        at = int(traffic.now)
        resize(release, pod, AFTER)
        eventually("20 s more", 60, lambda: traffic.now > at + 20)
        traffic.stop()
        outcomes = traffic.outcomes()
        before, after = rate(traffic, at - 12, at), rate(traffic, at + 6, at + 18)
        seconds = next(s for s in range(at, at + 20) if rate(traffic, s, s + 1) > 1.5 * before)
    new = container(release)
    measured(
        f"{BEFORE} CPU: {before:.1f} requests/s of {POINTS} points; {AFTER} CPU: {after:.1f}; "
        f"1.5 times as many {seconds - at} s after the patch"
    )
    assert new["resources"]["limits"]["cpu"] == AFTER
    assert (new["containerID"], new["restartCount"]) == (old["containerID"], old["restartCount"])
    assert outcomes.keys() == {"ok"}, outcomes
    assert after > 1.5 * before
