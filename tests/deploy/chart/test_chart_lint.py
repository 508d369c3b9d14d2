"""Checks by Helm and kube-score, and the values that the chart rejects."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.chart.conftest import CHART, COMBINATIONS

Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_lint(helm: Helm, values: Path) -> None:
    done = helm("lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_kube_score_finds_nothing_critical(helm: Helm, values: Path) -> None:
    if not shutil.which("kube-score"):
        pytest.skip("no kube-score on PATH")
    if values.stem == "bare-values":
        pytest.skip("bare disables what kube-score requires")
    rendered = helm("template", "gp", CHART, "--values", values, "--kube-version", "1.30.0").stdout
    score = subprocess.run(
        ["kube-score", "score", "--output-format", "ci", "-"],
        input=rendered,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "[CRITICAL]" not in score.stdout
    assert "[OK]" in score.stdout, score.stderr


REJECTED = {
    "a misspelt value": (["autoscalling.mode=none"], "autoscalling"),
    "a wrong type": (["ingress.enabled=maybe"], "/ingress/enabled"),
    "a shut door": (["access.anonymous=none"], "nobody has a key"),
    "an unknown setting": (["settings.GPSERVE_MODLE=x"], "GPSERVE_MODLE"),
    "min above max": (
        ["autoscaling.minReplicas=5", "autoscaling.maxReplicas=3"],
        "autoscaling.minReplicas (5) is above autoscaling.maxReplicas (3)",
    ),
    "a ConfigMap without a name": (
        ["model.source=configMap"],
        "model.source is configMap: name it in model.name",
    ),
    "a volume without one": (["model.source=volume"], "describe it in model.volume"),
    "nothing to scale on": (
        ["autoscaling.cpu.enabled=false", "autoscaling.load.enabled=never"],
        "neither autoscaling.cpu.enabled nor autoscaling.load.enabled",
    ),
    "no CPU, no custom metrics": (
        ["autoscaling.cpu.enabled=false"],
        "install prometheus-adapter or use autoscaling.mode=keda",
    ),
    "utilisation of nothing": (
        ["resources.requests.cpu=null"],
        "autoscaling.cpu.enabled needs resources.requests.cpu",
    ),
    "an HPA to zero": (
        ["jobs.enabled=true", "worker.autoscaling.minReplicas=0"],
        "worker.autoscaling.minReplicas is 0: an HPA keeps at least one pod",
    ),
    "more workers at least than at most": (
        ["jobs.enabled=true", "worker.autoscaling.minReplicas=9"],
        "worker.autoscaling.minReplicas (9) is above worker.autoscaling.maxReplicas (4)",
    ),
    "workers on the CPU of nothing": (
        ["jobs.enabled=true", "worker.resources.requests.cpu=null"],
        "needs worker.resources.requests.cpu",
    ),
    "a Redis out of reach": (
        ["jobs.enabled=true", "redis.urlSecret.name=mine"],
        "let pods reach it by networkPolicy.egress",
    ),
    "an issuer out of reach": (
        ["settings.GPSERVE_OIDC_ISSUER=https://login.example.org"],
        "let pods reach it and DNS by networkPolicy.egress",
    ),
    "a store out of reach": (
        ["jobs.enabled=true", "jobs.store=s3://bucket/prefix"],
        "jobs.store is s3://bucket/prefix: let pods reach it by networkPolicy.egress",
    ),
    "a retraining without a token": (
        ["retraining.enabled=true", "jobs.enabled=true", "retraining.table.url=http://disk/t.csv"],
        "retraining.enabled needs jobs.enabled, and a token",
    ),
    "a retraining without a table": (
        ["retraining.enabled=true", "jobs.enabled=true", "jobs.tokenSecret.name=t"],
        "needs one place of the table",
    ),
    "a rollout that replaces nothing": (
        ["updateStrategy.rollingUpdate.maxSurge=0"],
        "raise maxSurge or maxUnavailable",
    ),
    "a route to no gateway": (["httpRoute.enabled=true"], "httpRoute.enabled needs"),
}


@pytest.mark.parametrize(("settings", "message"), REJECTED.values(), ids=REJECTED)
def test_invalid_values_are_rejected_with_a_clear_message(
    helm: Helm, settings: list[str], message: str
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    done = helm("template", "gp", CHART, "--kube-version", "1.30.0", *words)
    assert done.returncode != 0
    assert message in done.stderr
