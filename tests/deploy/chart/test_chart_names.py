"""Names that a user chooses stay text, and fit wherever Kubernetes puts them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart.conftest import CHART, Render, only

ALL_OBJECTS = """
jobs: {enabled: true, tokenSecret: {name: let-in}}
retraining: {enabled: true, table: {urlSecret: {name: table}}}
worker: {podDisruptionBudget: {enabled: true}}
verticalPodAutoscaler: {enabled: true}
httpRoute: {enabled: true, parentRefs: [{name: public}]}
metrics:
  serviceMonitor: {enabled: true}
  prometheusRule: {enabled: true}
  dashboard: {enabled: true}
"""
WORDS = """
image: {repository: "WORD", tag: "WORD", pullSecrets: [{name: "WORD"}]}
model: {source: secret, name: "WORD", file: "WORD"}
access: {keysSecret: {name: "WORD", key: "WORD"}}
extraEnv: [{name: "WORD", value: "WORD"}]
jobs: {enabled: true, tokenSecret: {name: "WORD", key: "WORD"}}
valkey:
  image: {repository: "WORD", tag: "WORD"}
  passwordSecret: {name: "WORD", key: "WORD"}
  persistence: {storageClass: "WORD"}
  nodeSelector: {pool: "WORD"}
worker:
  image: {repository: "WORD", tag: "WORD"}
  podDisruptionBudget: {enabled: true}
retraining:
  enabled: true
  tokenSecret: {name: "WORD", key: "WORD"}
  table: {urlSecret: {name: "WORD", key: "WORD"}}
  options: {target: "WORD"}
ingress: {className: "WORD", tlsSecret: "WORD", hosts: ["WORD"], annotations: {a: "WORD"}}
httpRoute: {enabled: true, parentRefs: [{name: "WORD"}], hostnames: ["WORD"]}
service: {annotations: {a: "WORD"}}
serviceAccount: {name: "WORD", annotations: {a: "WORD"}}
podLabels: {a: "WORD"}
podAnnotations: {a: "WORD"}
nodeSelector: {pool: "WORD"}
priorityClassName: "WORD"
verticalPodAutoscaler: {enabled: true}
metrics:
  serviceMonitor: {enabled: true, labels: {a: "WORD"}}
  prometheusRule: {enabled: true, labels: {a: "WORD"}}
  dashboard: {enabled: true, labels: {a: "WORD"}}
"""
ORDINARY = "quux"
VARIANTS = {
    "the defaults": (),
    "scaled by KEDA": ('autoscaling.mode="keda"', 'worker.autoscaling.mode="keda"'),
    "a Redis of the user": (
        'redis.urlSecret={"name":"WORD","key":"WORD"}',
        'networkPolicy.egress=[{"ports":[{"port":6379}]}]',
    ),
    "a new password": ('valkey.passwordSecret.name=""',),
    "a model in a ConfigMap": ('model.source="configMap"',),
    "the account of the user": ("serviceAccount.create=false",),
}
LABEL = re.compile(r"(([A-Za-z0-9][-\w.]*)?[A-Za-z0-9])?", re.ASCII)
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# The controllers add a hyphen and ten characters to these names in a label.
LONGEST = {"StatefulSet": 52, "CronJob": 52, "Service": 63}


@pytest.fixture
def rendered(render: Render, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Render values given as text."""

    def objects(text: str, *settings: str, release: str = "gp") -> list[dict[str, Any]]:
        (tmp_path / "values.yaml").write_text(text)
        return render(*settings, values=tmp_path / "values.yaml", release=release)

    return objects


def comparable(objects: list[dict[str, Any]]) -> Any:
    """Return objects without the random password, and without checksums, which differ."""
    for each in objects:
        if each["kind"] == "Secret":
            each["data"] = dict.fromkeys(each["data"])
    return json.loads(re.sub('"checksum/config": "[0-9a-f]+"', '"": ""', json.dumps(objects)))


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize(
    ("word", "full"), [("on", "on"), ("null", "null"), ("12", "gp")], ids=["on", "null", "12"]
)
def test_a_name_that_looks_like_something_else_stays_text(
    rendered: Callable[..., list[dict[str, Any]]], word: str, full: str, settings: tuple[str, ...]
) -> None:
    def naming(word: str, full: str) -> Any:
        text = f'nameOverride: "WORD"\nfullnameOverride: "{full}"\n{WORDS}'.replace("WORD", word)
        chosen = [setting.replace("WORD", word) for setting in settings]
        return comparable(rendered(text, *chosen, release=word))

    ordinary = naming(ORDINARY, ORDINARY if full == word else full)
    assert naming(word, full) == json.loads(json.dumps(ordinary).replace(ORDINARY, word))


NAMES = {
    "short": ("gp", {}),
    "a long release": ("r" * 53, {}),
    "a long name": ("gp", {"nameOverride": "n" * 52}),
    "a long full name": ("gp", {"fullnameOverride": "f" * 63}),
    "cut at a hyphen": ("r" * 53, {"nameOverride": "n" * 7 + "--" + "n" * 7}),
    "a part cut at a hyphen": ("gp", {"fullnameOverride": "f" * 40 + "-" * 10 + "f" * 13}),
    "a tag cut at a hyphen": ("gp", {"image": {"tag": "t" * 60 + "-._x"}}),
    "a tag that begins with _": ("gp", {"image": {"tag": "_1"}}),
    "a release that is a number": ("123", {"fullnameOverride": "gp", "nameOverride": "456"}),
    "a release with a dot": ("gp.v2", {"fullnameOverride": "gp"}),
}


@pytest.mark.parametrize(("release", "values"), NAMES.values(), ids=NAMES)
def test_names_fit_where_kubernetes_puts_them(
    rendered: Callable[..., list[dict[str, Any]]], release: str, values: dict[str, Any]
) -> None:
    settings = [f"{name}={json.dumps(value)}" for name, value in values.items()]
    objects = rendered(ALL_OBJECTS, *settings, release=release)
    for each in objects:
        kind, name = each["kind"], each["metadata"]["name"]
        assert len(name) <= LONGEST.get(kind, 253), (kind, name)
        assert SERVICE.fullmatch(name), (kind, name)
        for labels in label_maps(each):
            for value in labels.values():
                assert len(value) <= 63, (kind, value)
                assert LABEL.fullmatch(value), (kind, value)
    names = Counter((each["kind"], each["metadata"]["name"]) for each in objects)
    assert set(names.values()) == {1}
    for kind in LONGEST:
        assert [name for found, name in names if found == kind], kind


def label_maps(value: Any) -> Iterator[dict[str, str]]:
    """Yield all labels and selectors in an object."""
    if isinstance(value, dict):
        for key, below in value.items():
            selector = key == "selector" and "matchLabels" not in below
            if selector or key in ("labels", "matchLabels"):
                yield below
            else:
                yield from label_maps(below)
    elif isinstance(value, list):
        for below in value:
            yield from label_maps(below)


@pytest.mark.parametrize("name", ["gp", "f" * 63])
def test_alerts_find_the_pods_by_their_names(render: Render, name: str) -> None:
    objects = render("metrics.prometheusRule.enabled=true", f'fullnameOverride="{name}"')
    rule = only(objects, "PrometheusRule")["spec"]["groups"][0]["rules"][0]
    (pattern,) = re.findall(r'pod=~"(.*?)"', rule["expr"])
    replica_set = f"{name}-7d9f8b6c54"
    assert re.fullmatch(pattern, f"{replica_set}-"[:58] + "x2v8q")  # as the API server names pods
    assert not re.fullmatch(pattern, f"other-{replica_set}"[:58] + "x2v8q")


@pytest.mark.parametrize("release", ["123", "gp.v2"])
def test_a_release_that_cannot_name_a_service_is_refused(helm: Any, release: str) -> None:
    done = helm("template", release, CHART, "--kube-version", "1.30.0")
    assert done.returncode != 0
    assert f"{release}-gpserve cannot be the name of a Service" in done.stderr
    assert "set fullnameOverride" in done.stderr
