"""The chart and the service agree on settings and metrics."""

from __future__ import annotations

import json
import re

import numpy as np
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.jobs.queue import QUEUED, RUNNING
from service.jobs.records import SUCCESSFUL, Job, now
from service.model import Description
from service.runtime.metrics import Metrics
from service.settings import PREFIX, Settings
from service.worker.health import WorkerMetrics
from tests.deploy.chart.conftest import CHART, ROOT

SET_BY_THE_CHART = {"model", "model_class", "bind", "graceful_seconds", "drain_seconds"}
SET_BY_THE_CHART |= {"store", "redis_url", "token", "worker_bind", "keys", "anonymous"}
UNUSED_IN_A_POD = {"data"}
NAME = re.compile(r"\b((?:http|predict\w*|model|jobs?|worker)_\w+)\b")


def exported() -> set[str]:
    """Return the names of the samples that a service exports after its first response."""
    metrics = Metrics()
    metrics.count_requests(("POST", "/predict", 200), [0.01])
    metrics.count_points(1, 0.01)
    text = metrics.exposition().decode() + 'model_info{version="a"} 1\n'
    worker = WorkerMetrics()
    worker.ended(Job("id", "", "predict", SUCCESSFUL, "", now(), now(), b""), SUCCESSFUL)
    text += generate_latest(worker.registry).decode()
    families = text_string_to_metric_families(text)
    return {sample.name for family in families for sample in family.samples}


def test_the_schema_lists_the_services_settings() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = set(schema["properties"]["settings"]["propertyNames"]["enum"])
    fields = set(Settings.__struct_fields__) - SET_BY_THE_CHART - UNUSED_IN_A_POD
    assert known == {PREFIX + field.upper() for field in fields}


def test_metrics_used_by_the_chart_are_exported() -> None:
    rules = yaml.safe_load((CHART / "prometheus-adapter" / "rules.yaml").read_text())["rules"]
    panels = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
    texts = [rule[name] for rule in rules for name in ("seriesQuery", "metricsQuery")]
    texts += [target["expr"] for panel in panels for target in panel.get("targets", [])]
    alerts = (CHART / "templates" / "prometheusrule.yaml").read_text()
    texts += re.findall(r"(\w+)\{ ?\{\{- \$pods", alerts)
    texts.append((CHART / "templates" / "_load.tpl").read_text())
    texts += re.findall(r"dict (.*) }}", (CHART / "templates/worker/scaledobject.yaml").read_text())
    used = {name for text in texts for name in NAME.findall(text)}
    assert len(used) > 8
    assert used - exported() == set()


def test_a_version_that_was_served_before_is_not_counted() -> None:
    metrics = Metrics()
    for version in ("old", "new"):
        d = Description("a", version, "RBF", ("x",), "y", 1, np.zeros((1, 2)))
        metrics.show_model(d)
    families = text_string_to_metric_families(metrics.exposition().decode())
    (info,) = [family for family in families if family.name == "model_info"]
    assert {sample.labels["version"]: sample.value for sample in info.samples} == {
        "old": 0,
        "new": 1,
    }
    alerts = (CHART / "templates" / "prometheusrule.yaml").read_text()
    queries = alerts + (CHART / "files" / "dashboard.json").read_text()
    counts = re.findall(r"count by \(version\) \((.*?})( == 1)?\)", queries)
    assert len(counts) == 2
    assert {condition for _, condition in counts} == {" == 1"}


def documented(page: str, heading: str) -> set[str]:
    """Return the names in the first column of the tables below a heading."""
    text = (ROOT / "docs" / page).read_text().partition(f"\n{heading}\n")[2]
    rows = re.findall(r"^\| (`.*?) \|", text.partition("\n## ")[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)", row)}


def names(exposition: bytes) -> set[str]:
    """Return the names of the metrics that a process exports, without those of every process."""
    found = text_string_to_metric_families(exposition.decode())
    total = {"counter": "_total"}
    every = {family.name + total.get(family.type, "") for family in found}
    return {name for name in every if not name.startswith("process_")}


def test_the_pages_for_operators_name_every_metric_and_alert() -> None:
    template = (CHART / "templates" / "prometheusrule.yaml").read_text()
    alerts = set(re.findall(r"alert: (\w+)", template))
    web = names(Metrics().exposition()) | {QUEUED[0], RUNNING[0]}
    assert len(alerts) == 7
    assert documented("operators.md", "## Metrics") == web | alerts | {"process_"}
    worker = names(generate_latest(WorkerMetrics().registry))
    assert worker - documented("jobs.md", "## The worker") == set()


def test_the_adapter_provides_the_metrics_that_the_hpa_requests() -> None:
    rules = yaml.safe_load((CHART / "prometheus-adapter" / "rules.yaml").read_text())["rules"]
    requested = set(NAME.findall((CHART / "templates" / "_load.tpl").read_text()))
    workers = (CHART / "templates" / "worker" / "hpa.yaml").read_text()
    requested |= set(re.findall(r"metric: {name: (\w+)}", workers))
    assert {rule["name"]["as"] for rule in rules} == requested
