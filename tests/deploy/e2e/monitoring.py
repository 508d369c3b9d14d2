"""The expressions of the dashboard and the alerts, evaluated by a Prometheus server."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.e2e.cluster import CHART, Release

URL = os.environ.get("E2E_PROMETHEUS", "")


def prometheus() -> httpx.Client:
    """Return a client of the Prometheus at E2E_PROMETHEUS; skip the test if it is not set."""
    if not URL:
        pytest.skip("no Prometheus: set E2E_PROMETHEUS=http://… to one that scrapes annotated pods")
    return httpx.Client(base_url=URL)


def expressions(row: str = "") -> list[str]:
    """Return the expressions of the dashboard's panels in a row; the first row is untitled."""
    found: dict[str, list[str]] = {}
    title = ""
    for panel in json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]:
        title = panel["title"] if panel["type"] == "row" else title
        found.setdefault(title, []).extend(target["expr"] for target in panel.get("targets", []))
    return found[row]


def values(http: httpx.Client, expression: str, namespace: str = "") -> list[Any]:
    """Return an expression's current values, with the dashboard's variables filled in."""
    query = expression.replace("$namespace", namespace).replace("$pod", ".*")
    answer = http.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", f"{query}: {answer}"
    return list(answer["data"]["result"])


def alerts(release: Release) -> dict[str, str]:
    """Return the expressions of the alerts, by name."""
    settings = ("--set", "metrics.prometheusRule.enabled=true")
    only = ("--show-only", "templates/prometheusrule.yaml")
    text = release.helm("template", release.name, CHART, *settings, *only)
    rules = yaml.safe_load(text)["spec"]["groups"][0]["rules"]
    return {rule["alert"]: rule["expr"] for rule in rules}
