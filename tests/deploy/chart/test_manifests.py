"""k8s/ matches what the chart renders."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import manifests
from tests.deploy.chart.conftest import HELMS, ROOT

K8S = ROOT / "k8s"


def kustomize(folder: Path) -> list[dict[str, object]]:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on PATH")
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_chart_and_manifests_have_not_changed_since_they_were_rendered() -> None:
    assert manifests.CHECKSUMS.read_text() == manifests.checksums(ROOT)


@pytest.mark.parametrize("name", HELMS or [None])
def test_manifests_are_rendered_from_the_chart(name: str | None) -> None:
    if name is None:
        pytest.skip("no helm on PATH; the checksums were compared")
    assert manifests.drift(manifests.wanted(name)) == []


def test_drift_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {f"{path.parent.name}/{path.name}": path.read_text() for path in manifests.present()}
    shutil.copytree(manifests.OUT, tmp_path / "k8s")
    monkeypatch.setattr(manifests, "OUT", tmp_path / "k8s")
    assert manifests.drift(wanted) == []
    (tmp_path / "k8s" / "base" / "service.yaml").write_text("port: 81\n")
    (tmp_path / "k8s" / "jobs" / "stray.yaml").write_text("kind: Stray\n")
    (tmp_path / "k8s" / "base" / "hpa.yaml").unlink()
    assert manifests.drift(wanted) == ["base/hpa.yaml", "base/service.yaml", "jobs/stray.yaml"]


def test_the_plain_manifests_have_no_helm_labels() -> None:
    objects = kustomize(K8S)
    assert len(objects) == len(list((K8S / "base").glob("*.yaml"))) - 1
    assert "helm.sh" not in yaml.safe_dump(objects)
    assert "managed-by" not in yaml.safe_dump(objects)


def test_the_overlay_for_kind_scales_on_cpu_from_one_pod() -> None:
    objects = {each["kind"]: each for each in kustomize(K8S / "kind")}
    spec = objects["HorizontalPodAutoscaler"]["spec"]
    assert isinstance(spec, dict)
    assert [metric["type"] for metric in spec["metrics"]] == ["Resource"]
    assert spec["minReplicas"] == 1
    assert "image: gpserve:dev" in yaml.safe_dump(objects["Deployment"])


@pytest.mark.parametrize("name", HELMS or [None])
def test_the_overlay_with_jobs_matches_the_chart(name: str | None) -> None:
    if name is None:
        pytest.skip("no helm on PATH")
    texts = manifests.files(manifests.render(name, *manifests.WITH_JOBS)).values()
    assert by_name([yaml.safe_load(text) for text in texts]) == by_name(kustomize(K8S / "jobs"))


def by_name(objects: list[Any]) -> dict[tuple[str, str], Any]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def test_the_repository_contains_no_password() -> None:
    assert "Secret" not in {each["kind"] for each in kustomize(K8S / "jobs")}
