"""The chart installs under Pod Security "restricted", and its answers match the model's."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import numpy as np
import pytest

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from service.gpr import GPR
from service.model import FloatArray
from tests.deploy.e2e.cluster import GATEWAY, HOST, URL, Release, eventually, get


def predictions(client: httpx.Client, X: FloatArray) -> FloatArray:
    answer = client.post("/predict", json={"points": X.tolist()})
    assert answer.status_code == 200, answer.text
    return np.column_stack([answer.json()["mean"], answer.json()["variance"]])


@pytest.mark.smoke
def test_install_and_predict_through_the_ingress(
    release: Release,
    http: httpx.Client,
    reachable: Callable[[], None],
    X: FloatArray,
    P: FloatArray,
) -> None:
    release.install()
    reachable()
    np.testing.assert_allclose(predictions(http, X), P, rtol=1e-9)
    one = http.get(
        "/predict", params=dict(zip(http.get("/model").json()["feature_names"], X[0], strict=True))
    )
    np.testing.assert_allclose([one.json()["mean"], one.json()["variance"]], P[0], rtol=1e-9)


@pytest.mark.smoke
def test_helm_test_passes(release: Release) -> None:
    assert "Succeeded" in release.helm("test", release.name)


def test_predict_through_an_http_route(release: Release, X: FloatArray, P: FloatArray) -> None:
    if not GATEWAY:
        pytest.skip("no Gateway: set E2E_GATEWAY=namespace/name")
    namespace, _, name = GATEWAY.partition("/")
    host = "route.gpserve.local"
    parents = [{"name": name, "namespace": namespace}]
    release.install({"httpRoute": {"enabled": True, "parentRefs": parents, "hostnames": [host]}})
    with httpx.Client(base_url=URL, headers={"Host": host}, timeout=30) as client:
        eventually("an answer through the route", 180, lambda: client.get("/readyz").is_success)
        np.testing.assert_allclose(predictions(client, X), P, rtol=1e-9)


def test_a_50_mb_upload_passes(
    release: Release,
    http: httpx.Client,
    reachable: Callable[[], None],
    gpr: GPR,
    measured: Callable[[str], None],
) -> None:
    release.install()
    reachable()
    low, high = gpr.description.training_range.T
    X = np.random.default_rng(2).uniform(low, high, (50_000, len(low)))
    lines = "\n".join(",".join(map(repr, row)) for row in X.tolist())
    times = -(-50_000_000 // (len(lines) + 1))
    text = ",".join(gpr.description.feature_names) + "\n" + (lines + "\n") * times
    begun = time.monotonic()
    files, csv = {"file": ("points.csv", text)}, {"Accept": "text/csv"}
    answer = http.post("/predict", files=files, headers=csv, timeout=600)
    assert answer.status_code == 200, answer.text[:500]
    took = time.monotonic() - begun
    rows = answer.text.splitlines()
    assert len(rows) == 1 + times * len(X)
    last = np.array(rows[-1].split(","), dtype=float)
    np.testing.assert_allclose(last[-2:], gpr.predict(X[-1:])[0], rtol=1e-9)
    measured(
        f"{len(text) / 1e6:.0f} MB, {len(rows) - 1} points, answered in {took:.1f} s; "
        f"a pod's memory was at most {memory_peak(release) / 2**20:.0f} MiB"
    )


def memory_peak(release: Release) -> int:
    """Return the peak memory of the pods, read from their cgroups (version 2 or 1)."""
    files = "/sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    read = f"cat {files} 2>/dev/null | head -1"
    pods = release.pod_names()
    return max(int(release.kubectl("exec", pod, "--", "sh", "-c", read)) for pod in pods)


def test_upgrade_and_rollback_lose_no_request(
    release: Release, target: Target, reachable: Callable[[], None], measured: Callable[[str], None]
) -> None:
    release.install({"autoscaling": {"minReplicas": 2}})
    reachable()
    before = set(release.pod_names())
    with Traffic(steps([150], 600), target) as traffic:
        eventually("traffic", 120, lambda: traffic.outcomes()["ok"] > 100)
        release.install(
            {"autoscaling": {"minReplicas": 2}, "settings": {"GPSERVE_LOG_LEVEL": "warning"}}
        )
        upgraded = set(release.pod_names())
        release.helm("rollback", release.name, "--wait", "--timeout", "3m")
        release.settle()
        traffic.stop()
        outcomes = traffic.outcomes()
    assert not before & upgraded, "an upgrade of a setting makes new pods"
    assert outcomes.keys() == {"ok"}, outcomes
    measured(f"{outcomes.total()} requests, all answered, over an upgrade and a rollback")


@pytest.mark.smoke
def test_uninstall_leaves_nothing(release: Release) -> None:
    release.install()
    kinds = (
        "deployments,replicasets,pods,services,endpointslices,configmaps,serviceaccounts,"
        "horizontalpodautoscalers,ingresses,networkpolicies,poddisruptionbudgets,secrets"
    )
    selector = ("--selector", f"app.kubernetes.io/instance={release.name}")
    assert release.get(kinds, *selector)["items"]
    release.helm("uninstall", release.name, "--wait")
    eventually("nothing left", 240, lambda: not release.get(kinds, *selector)["items"])
    left = [each["metadata"]["name"] for each in release.get("secrets,configmaps")["items"]]
    assert [name for name in left if name != "kube-root-ca.crt"] == []
    assert HOST not in str(get("ingresses", "--all-namespaces"))
