"""A custom model from a ConfigMap; a bad model never replaces a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.gpr import GPR
from tests.deploy.e2e.cluster import CommandFailed, Release, eventually

VALUES = {"autoscaling": {"mode": "none"}, "replicaCount": 1}


def trained(folder: Path, name: str) -> GPR:
    X = np.random.default_rng(3).uniform(-1, 1, (40, 2))
    model = GPR(2, "RBF", feature_names=("width", "height")).fit(X, np.sin(3 * X).sum(axis=1))
    model.save(folder / name)
    return model


def publish(release: Release, name: str, path: Path) -> None:
    release.kubectl("create", "configmap", name, f"--from-file=pretrained.npz={path}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_a_model_from_a_configmap(
    release: Release, http: httpx.Client, reachable: Callable[[], None], folder: Path
) -> None:
    model = trained(folder, "good.npz")
    publish(release, "good", folder / "good.npz")
    release.install({**VALUES, "model": {"source": "configMap", "name": "good"}})
    reachable()
    answer = http.post("/predict", json={"width": 0.3, "height": -0.2})
    got = [answer.json()["mean"], answer.json()["variance"]]
    np.testing.assert_allclose(got, model.predict(np.array([[0.3, -0.2]]))[0], rtol=1e-9)
    assert http.get("/model").json()["version"] == model.description.version
    assert "Succeeded" in release.helm("test", release.name)


def test_a_model_that_fails_its_reference_check_stops_the_rollout(
    release: Release, http: httpx.Client, folder: Path
) -> None:
    arrays = dict(np.load(folder / "good.npz"))
    arrays["alpha"] = arrays["alpha"] * 1.001
    np.savez(folder / "bad.npz", **arrays)
    publish(release, "bad", folder / "bad.npz")
    before = release.pod_names()
    version = http.get("/model").json()["version"]
    volume = {"name": "model", "configMap": {"name": "bad"}}
    patch = json.dumps({"spec": {"template": {"spec": {"volumes": [volume]}}}})
    release.kubectl("patch", "deployment", release.deployment, "--patch", patch)
    eventually("a new pod", 60, lambda: len(release.pod_names()) == 2)
    with pytest.raises(CommandFailed):
        release.kubectl("rollout", "status", f"deployment/{release.deployment}", "--timeout=15s")
    assert set(before) < set(release.pod_names())
    assert http.get("/model").json()["version"] == version
    (new,) = set(release.pod_names()) - set(before)
    logs = eventually(
        "a log message about it", 60, lambda: release.kubectl("logs", new, "--tail=50")
    )
    assert "reference" in logs
