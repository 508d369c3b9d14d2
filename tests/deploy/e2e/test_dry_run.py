"""The API server accepts the rendered chart for every listed combination of values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.e2e.cluster import CHART, HELM, IMAGE, ROOT, api_groups, kubectl, run

COMBINATIONS = sorted((CHART / "ci").glob("*-values.yaml"))
CUSTOM_METRICS = ("--api-versions", "custom.metrics.k8s.io/v1beta1")


def rendered(name: str, namespace: str, *words: str | Path) -> list[dict[str, Any]]:
    text = run(HELM, "template", name, CHART, "--namespace", namespace, *words)
    return [each for each in yaml.safe_load_all(text) if each]


def group(each: dict[str, Any]) -> str:
    return str(each["apiVersion"]).split("/")[0]


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_dry_run(namespace: str, values: Path, measured: Callable[[str], None]) -> None:
    objects = rendered("gp", namespace, "--values", values)
    groups = api_groups()
    known = [each for each in objects if group(each) in groups]
    if missing := sorted({each["kind"] for each in objects} - {each["kind"] for each in known}):
        measured(f"{values.stem}: this cluster has no {', '.join(missing)}; the rest was tested")
    command = ["apply", "--dry-run=server", "--namespace", namespace, "-f", "-", "-o", "name"]
    accepted = kubectl(*command, given=yaml.safe_dump_all(known)).split()
    assert len(accepted) == len(known)


HELMS_OR_RANDOM = {"helm.sh/chart", "app.kubernetes.io/managed-by", "clusterIP", "clusterIPs"}


def stripped(value: Any) -> Any:
    """Return a value without Helm's labels, and without what a dry run assigns at random."""
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k not in HELMS_OR_RANDOM}
    return [stripped(each) for each in value] if isinstance(value, list) else value


def normalised(listed: str) -> dict[tuple[str, str], Any]:
    """Return the specifications of objects, by kind and name."""
    found = {}
    for each in json.loads(listed)["items"]:
        labels = each["metadata"]["labels"]
        rest = {k: v for k, v in each.items() if k not in ("metadata", "status")}
        found[each["kind"], each["metadata"]["name"]] = stripped({"labels": labels, **rest})
    return found


def test_plain_manifests_match_the_charts_defaults(namespace: str) -> None:
    command = ["--dry-run=server", "--namespace", namespace, "-o", "json"]
    plain = kubectl("apply", *command, "-k", ROOT / "k8s")
    objects = rendered("gpserve", namespace, "--skip-tests", *CUSTOM_METRICS)
    chart = kubectl("apply", *command, "-f", "-", given=yaml.safe_dump_all(objects))
    assert normalised(plain) == normalised(chart)
    assert len(normalised(plain)) == len(objects)


def test_plain_manifests_serve(namespace: str) -> None:
    """`kubectl apply -k` suffices: here the overlay for kind, with the tested image."""
    text = kubectl("kustomize", ROOT / "k8s" / "kind")
    assert text.count("image: gpserve:dev") == 1
    text = text.replace("image: gpserve:dev", f"image: {IMAGE}")
    kubectl("apply", "--namespace", namespace, "-f", "-", given=text)
    kubectl("--namespace", namespace, "rollout", "status", "deployment/gpserve", "--timeout=2m")
    kubectl("delete", "--namespace", namespace, "-f", "-", "--wait=false", given=text)
