"""The dashboard's and the alerts' expressions, asked from a Prometheus that scrapes the pods."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import httpx
import pytest
import yaml

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.e2e.cluster import CHART, Release, eventually

PROMETHEUS = os.environ.get("E2E_PROMETHEUS", "")
PANELS = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]


@pytest.fixture(scope="module")
def prometheus() -> httpx.Client:
    if not PROMETHEUS:
        pytest.skip("no Prometheus: E2E_PROMETHEUS=http://… names one that scrapes annotated pods")
    return httpx.Client(base_url=PROMETHEUS)


def values(prometheus: httpx.Client, expression: str) -> list[object]:
    answer = prometheus.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    return list(answer["data"]["result"])


def alerts(release: Release) -> dict[str, str]:
    settings = ("--set", "metrics.prometheusRule.enabled=true")
    only = ("--show-only", "templates/prometheusrule.yaml")
    text = release.helm("template", release.name, CHART, *settings, *only)
    rules = yaml.safe_load(text)["spec"]["groups"][0]["rules"]
    return {rule["alert"]: rule["expr"] for rule in rules}


def test_panels_show_something_and_no_alert_fires(
    release: Release, target: Target, reachable: Callable[[], None], prometheus: httpx.Client
) -> None:
    release.install({"autoscaling": {"mode": "none"}, "replicaCount": 1})
    reachable()
    with Traffic(steps([50], 25), target) as traffic:
        eventually("the end of the load", 60, lambda: not traffic.running)
        expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
        for expression in expressions:
            asked = expression.replace("$namespace", release.namespace).replace("$pod", ".*")
            assert values(prometheus, asked), asked
    firing = {
        name for name, expression in alerts(release).items() if values(prometheus, expression)
    }
    assert firing == set()


def test_a_missing_release_is_an_alert(release: Release, prometheus: httpx.Client) -> None:
    text = alerts(Release(release.namespace, "absent"))["GpserveAbsent"]
    assert values(prometheus, text)
