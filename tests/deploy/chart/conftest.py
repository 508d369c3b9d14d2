"""Run the helm command, in every installed version."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "gpserve"
COMBINATIONS = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS: list[str | None] = [
    name for name in os.environ.get("HELMS", "helm helm3").split() if shutil.which(name)
]

Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=HELMS or [None])
def helm(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    if request.param is None:
        pytest.skip(
            "no helm on PATH; the tests that do not need it still check schema and manifests"
        )

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [request.param, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """Return the chart's objects for values given as a file, or as Helm's --set arguments."""

    def objects(
        *settings: str,
        values: Path | None = None,
        apis: str = "",
        release: str = "gp",
        chart: Path = CHART,
    ) -> list[dict[str, Any]]:
        command: list[str | Path] = ["template", release, chart, "--namespace", "surrogates"]
        command += ["--kube-version", "1.30.0"]  # without a cluster, Helm assumes a version
        command += [word for setting in settings for word in ("--set-json", setting)]
        command += ["--values", values] if values else []
        command += ["--api-versions", apis] if apis else []
        done = helm(*command)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return objects


def only(objects: list[dict[str, Any]], kind: str, part: str = "") -> dict[str, Any]:
    """Return the only object of a kind that belongs to the web pods, or to another part."""
    (found,) = [each for each in objects if each["kind"] == kind and part_of(each) == part]
    return found


def part_of(each: dict[str, Any]) -> str:
    """Return an object's part, as worker or valkey; "" for the web pods and the helm test."""
    labels = each["metadata"]["labels"]
    is_part = "app.kubernetes.io/part-of" in labels
    return labels["app.kubernetes.io/name"].rpartition("-")[2] if is_part else ""


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specifications of all pods, the web pods' first."""
    workloads = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet")]
    workloads.sort(key=part_of)
    specs = [each["spec"]["template"]["spec"] for each in workloads]
    jobs = [each["spec"]["jobTemplate"]["spec"] for each in objects if each["kind"] == "CronJob"]
    specs += [each["template"]["spec"] for each in jobs]
    return [*specs, only(objects, "Pod")["spec"]]
