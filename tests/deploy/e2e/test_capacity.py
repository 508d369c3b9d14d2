"""The maximum requests/s of a release, with more CPU per pod and with more pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.deploy.e2e.cluster import Release, eventually

SECONDS = 16


@dataclass(frozen=True)
class Work:
    """Requests of one kind, at a rate above what the largest release here can serve."""

    points: int
    rate: float
    rate_per_user: float


SINGLE = Work(points=1, rate=1200, rate_per_user=20)
BATCH = Work(points=500, rate=60, rate_per_user=6)


def most_served(target: Target, work: Work) -> float:
    """Return the requests/s that are answered under more load than that."""
    options = {"points": work.points, "rate_per_user": work.rate_per_user}
    with Traffic(steps([work.rate], SECONDS), target, **options) as traffic:  # type: ignore[arg-type]
        eventually("the end of the load", 3 * SECONDS, lambda: not traffic.running)
        seconds = traffic.read()
    served = [seconds[second].served for second in range(5, SECONDS - 1) if second in seconds]
    return sum(served) / (SECONDS - 6)


def install(release: Release, cpu: str, pods: int) -> None:
    """Install a number of pods with a CPU limit each."""
    resources = {"requests": {"cpu": "50m"}, "limits": {"cpu": cpu}}
    release.install({"resources": resources, "autoscaling": {"mode": "none"}, "replicaCount": pods})
    release.settle()


@pytest.mark.parametrize("work", [SINGLE, BATCH], ids=["one point", "500 points"])
def test_more_cpu_and_more_pods_serve_more(
    work: Work,
    release: Release,
    target: Target,
    reachable: Callable[[], None],
    measured: Callable[[str], None],
) -> None:
    served: dict[tuple[str, int], float] = {}
    for cpu, pods in [("100m", 1), ("100m", 2), ("100m", 4), ("200m", 1), ("400m", 1)]:
        install(release, cpu, pods)
        reachable()
        served[cpu, pods] = most_served(target, work)
    measured(
        "\n".join(
            f"{pods} x {cpu} CPU: {rate:.1f} requests/s of {work.points} points"
            for (cpu, pods), rate in served.items()
        )
    )
    assert served["100m", 4] > served["100m", 1]
    assert served["400m", 1] > served["100m", 1]
