"""The dashboard's and the alerts' expressions, and a Prometheus that scrapes the pods."""

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
    """A client of the Prometheus that was named; skips the test when none was."""
    if not URL:
        pytest.skip("no Prometheus: E2E_PROMETHEUS=http://… names one that scrapes annotated pods")
    return httpx.Client(base_url=URL)


def expressions(row: str = "") -> list[str]:
    """Those of the dashboard's panels under the row of this title; the first row has none."""
    found: dict[str, list[str]] = {}
    title = ""
    for panel in json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]:
        title = panel["title"] if panel["type"] == "row" else title
        found.setdefault(title, []).extend(target["expr"] for target in panel.get("targets", []))
    return found[row]


def values(http: httpx.Client, expression: str, namespace: str = "") -> list[Any]:
    """What an expression gives now, with the dashboard's variables put in."""
    asked = expression.replace("$namespace", namespace).replace("$pod", ".*")
    answer = http.get("/api/v1/query", params={"query": asked}).json()
    assert answer["status"] == "success", f"{asked}: {answer}"
    return list(answer["data"]["result"])


def alerts(release: Release) -> dict[str, str]:
    """The expressions of the alerts by their names."""
    settings = ("--set", "metrics.prometheusRule.enabled=true")
    only = ("--show-only", "templates/prometheusrule.yaml")
    text = release.helm("template", release.name, CHART, *settings, *only)
    rules = yaml.safe_load(text)["spec"]["groups"][0]["rules"]
    return {rule["alert"]: rule["expr"] for rule in rules}
