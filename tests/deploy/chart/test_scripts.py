"""The scripts for kind and minikube, run with stub programs that record their calls."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart.conftest import HELMS, ROOT

PROGRAMS = ("kind", "minikube", "docker", "helm", "kubectl")
# One write per line, because the programs of a pipe run at the same time.
RECORDER = """#!/bin/sh
line=${0##*/}
for word in "$@"; do line="$line '$word'"; done
echo "$line" >>"$CALLS"
"""


def calls(script: str, folder: Path, **environment: str) -> list[list[str]]:
    """Run a script and return the commands that it would have run."""
    for program in PROGRAMS:
        (folder / program).write_text(RECORDER)
        (folder / program).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "CALLS": str(folder / "calls"), **environment}
    done = subprocess.run(
        [ROOT / "scripts" / script], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in (folder / "calls").read_text().splitlines()]


def position(found: list[list[str]], *words: str) -> int:
    """Return the position of the first command with these words."""
    return next(i for i, command in enumerate(found) if set(words) <= set(command))


@pytest.mark.parametrize("script", ["kind.sh", "minikube.sh"])
def test_cluster_image_addons_and_chart_are_installed_in_order(script: str, tmp_path: Path) -> None:
    found = calls(script, tmp_path)
    load = ("kind", "load") if script == "kind.sh" else ("minikube", "build")
    order = [
        position(found, *load),
        position(found, "helm", "traefik"),
        position(found, "helm", "keda"),
        position(found, "helm", "helm/gpserve"),
        position(found, "helm", "test"),
    ]
    assert order == sorted(order)
    assert not [command for command in found if "prometheus" in command]


def test_with_prometheus_the_rules_are_loaded_before_the_adapter(tmp_path: Path) -> None:
    found = calls("kind.sh", tmp_path, METRICS="prometheus")
    rules = "--from-file=config.yaml=helm/gpserve/prometheus-adapter/rules.yaml"
    assert position(found, "kubectl", rules) < position(found, "helm", "prometheus-adapter")
    assert "autoscaling.mode=hpa" in found[position(found, "helm", "helm/gpserve")]
    assert not [command for command in found if "keda" in command]


@pytest.mark.parametrize("metrics", ["keda", "prometheus"])
def test_the_chart_accepts_the_scripts_values(metrics: str, tmp_path: Path) -> None:
    if not HELMS or HELMS[0] is None:
        pytest.skip("no helm on PATH")
    real = shutil.which(HELMS[0])
    found = calls("install.sh", tmp_path, METRICS=metrics)
    command = found[position(found, "helm", "helm/gpserve")]
    settings = command[command.index("--set") :]
    assert real is not None
    template = [real, "template", "gp", str(ROOT / "helm" / "gpserve"), *settings]
    done = subprocess.run(
        [*template, "--kube-version", "1.30.0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'image: "gpserve:dev"' in done.stdout


def test_kind_maps_the_port_of_the_ingress_controller(tmp_path: Path) -> None:
    cluster = yaml.safe_load((ROOT / "k8s" / "kind" / "cluster.yaml").read_text())
    (port,) = cluster["nodes"][0]["extraPortMappings"]
    traefik = calls("addons.sh", tmp_path)[0]
    assert f"ports.web.nodePort={port['containerPort']}" in traefik
