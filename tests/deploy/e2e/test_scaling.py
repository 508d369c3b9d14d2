"""Replicas follow the load: by requests/s, by CPU alone, and by KEDA without Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtest import delays, plot, timeline
from loadtest.shapes import Shape
from loadtest.target import Target
from loadtest.traffic import Traffic
from loadtest.watch import Watch
from tests.deploy.e2e.cluster import ROOT, Release, api_groups, eventually

QUIET, LOUD = 5.0, 300.0
OUT = ROOT / "build" / "e2e"

BY_REQUESTS: dict[str, Any] = {
    "autoscaling": {
        "cpu": {"enabled": False},
        "load": {"enabled": "always", "targetRequestsPerSecond": 80},
    }
}
BY_CPU: dict[str, Any] = {
    "resources": {"requests": {"cpu": "20m"}},
    "autoscaling": {"load": {"enabled": "never"}},
}
BY_KEDA: dict[str, Any] = {
    "autoscaling": {
        "mode": "keda",
        "cpu": {"enabled": False},
        "load": {"targetRequestsPerSecond": 80},
    }
}


class Run:
    """A load step on a release, with the observed replicas."""

    def __init__(self, traffic: Traffic, watch: Watch, shape: Shape) -> None:
        self.traffic, self.watch, self.shape = traffic, watch, shape

    def most_ready(self) -> int:
        return max((sample.ready for sample in self.watch.samples), default=0)

    def now_ready(self) -> int:
        return self.watch.samples[-1].ready if self.watch.samples else 0

    def found(self) -> tuple[list[timeline.Row], delays.Delays]:
        rows = timeline.rows(self.shape, self.traffic.read(), self.watch.samples)
        return rows, delays.measure(self.shape, rows, self.watch.pods.values())


@contextmanager
def load_step(release: Release, target: Target, loud_seconds: float) -> Iterator[Run]:
    """Send low traffic, then high traffic, and record replicas until the caller is done."""
    shape = Shape(((0, QUIET), (10, QUIET), (10, LOUD), (10 + loud_seconds, LOUD)))
    with Traffic(shape, target) as traffic:
        watch = Watch(release.namespace, release.deployment)
        watch.begin(traffic.started)
        try:
            yield Run(traffic, watch, shape)
        finally:
            watch.stop()


def wait_for_metric(release: Release, name: str) -> None:
    """Wait until the HPA has read a metric, so that a run starts with one idle pod."""

    def read() -> bool:
        items = release.get("hpa")["items"]
        current = str([each["status"].get("currentMetrics") for each in items])
        return name in current and len(release.pod_names()) == 1

    eventually(f"the HPA reads {name}, with one pod", 240, read)


def up_and_down(
    release: Release, target: Target, name: str, measured: Callable[[str], None]
) -> None:
    with load_step(release, target, 60) as run:
        eventually("three ready replicas", 240, lambda: run.most_ready() >= 3)
        eventually("the end of the load", 240, lambda: not run.traffic.running)
        eventually("one replica again", 240, lambda: run.now_ready() == 1)
        rows, found = run.found()
        outcomes = run.traffic.outcomes()
    keep(name, rows, found)
    measured(
        f"{found}\n{outcomes.total()} requests, not answered: {outcomes.total() - outcomes['ok']}"
    )
    assert outcomes.keys() == {"ok"}, outcomes
    assert found.decision is not None
    assert found.ready is not None


def keep(name: str, rows: list[timeline.Row], found: delays.Delays) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    timeline.write_csv(OUT / f"{name}.csv", rows)
    plot.draw(Path(OUT / f"{name}.png"), rows, found, name)


@pytest.mark.smoke
def test_the_hpa_reads_both_metrics_and_scales_up(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    values = {"autoscaling": {"load": {"enabled": "always", "targetRequestsPerSecond": 80}}}
    notes = release.install(values)
    assert "It scales on CPU and http_requests_per_second" in notes
    reachable()
    wait_for_metric(release, "http_requests_per_second")
    wait_for_metric(release, "cpu")
    with load_step(release, target, 240) as run:  # stopped when the second replica is ready
        eventually("a second ready replica", 240, lambda: run.most_ready() >= 2)
        _, found = run.found()
        run.traffic.stop()
        outcomes = run.traffic.outcomes()
    measured(str(found))
    assert outcomes.keys() == {"ok"}, outcomes


def test_by_requests_per_second(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    release.install(BY_REQUESTS)
    reachable()
    wait_for_metric(release, "http_requests_per_second")
    up_and_down(release, target, "requests", measured)


def test_by_cpu_alone(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    notes = release.install(BY_CPU)
    assert "It scales on CPU alone" in notes
    reachable()
    wait_for_metric(release, "cpu")
    up_and_down(release, target, "cpu", measured)


def test_by_keda_without_prometheus(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    if "keda.sh" not in api_groups():
        pytest.skip("no KEDA in this cluster")
    # KEDA rejects a Deployment that an HPA already scales.
    release.install({"autoscaling": {"mode": "none"}, "replicaCount": 1})
    release.install(BY_KEDA)
    reachable()
    wait_for_metric(release, "http_requests_per_second")
    up_and_down(release, target, "keda", measured)
    release.install({"autoscaling": {"mode": "none"}, "replicaCount": 1})


def test_the_backlog_is_also_a_metric(release: Release) -> None:
    values = {"cpu": {"enabled": False}, "load": {"enabled": "always", "metric": "backlog"}}
    release.install({"autoscaling": values})
    eventually(
        "the HPA reads the backlog",
        120,
        lambda: "predict_backlog_seconds" in str(release.get("hpa")["items"][0]["status"]),
    )
