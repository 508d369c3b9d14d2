"""Helm, run as a command: every version of it that is there."""

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
        pytest.skip("no helm on PATH; the tests that need none still check schema and manifests")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [request.param, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """Return the chart's objects for values given as a file, or as Helm's --set arguments."""

    def objects(*settings: str, values: Path | None = None, apis: str = "") -> list[dict[str, Any]]:
        command: list[str | Path] = ["template", "gp", CHART, "--namespace", "surrogates"]
        command += ["--kube-version", "1.30.0"]  # without a cluster, Helm makes one up
        command += [word for setting in settings for word in ("--set-json", setting)]
        command += ["--values", values] if values else []
        command += ["--api-versions", apis] if apis else []
        done = helm(*command)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return objects


def only(objects: list[dict[str, Any]], kind: str, part: str = "") -> dict[str, Any]:
    """Return the one object of a kind: of the web pods, or of the part worker or valkey."""
    (found,) = [each for each in objects if each["kind"] == kind and part_of(each) == part]
    return found


def part_of(each: dict[str, Any]) -> str:
    """Return the part that an object is of; empty for the web pods' and the helm test's."""
    labels = each["metadata"]["labels"]
    beside = "app.kubernetes.io/part-of" in labels
    return labels["app.kubernetes.io/name"].rpartition("-")[2] if beside else ""


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specifications of all pods, those of the web pods first."""
    workloads = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet")]
    workloads.sort(key=part_of)
    specs = [each["spec"]["template"]["spec"] for each in workloads]
    return [*specs, only(objects, "Pod")["spec"]]
