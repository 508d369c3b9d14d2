"""What the chart renders for the most important values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart.conftest import CHART, COMBINATIONS, Render, only, part_of, pod_specs

CUSTOM_METRICS = "custom.metrics.k8s.io/v1beta1"


def hpa_metrics(objects: list[dict[str, Any]]) -> list[str]:
    metrics = only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    return [
        m["resource"]["name"] if "resource" in m else m["pods"]["metric"]["name"] for m in metrics
    ]


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_pod_security_restricted(render: Render, values: Path) -> None:
    for spec in pod_specs(render(values=values)):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= container["resources"].keys()


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_standard_labels_and_selectors(render: Render, values: Path) -> None:
    objects = render(values=values)
    wanted = {"name", "instance", "managed-by"}
    for each in objects:
        labels = each["metadata"]["labels"]
        assert {f"app.kubernetes.io/{name}" for name in wanted} <= labels.keys()
    selector = only(objects, "Service")["spec"]["selector"].items()
    assert selector <= only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= only(objects, "Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_never_two_autoscalers(render: Render, values: Path) -> None:
    objects = render(values=values)
    scalers = Counter(
        part_of(each)
        for each in objects
        if each["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    )
    for each in objects:
        if each["kind"] == "Deployment":
            assert scalers[part_of(each)] == (0 if "replicas" in each["spec"] else 1)


@pytest.mark.parametrize("values", COMBINATIONS, ids=lambda path: path.stem)
def test_a_pod_has_enough_time_to_stop(render: Render, values: Path) -> None:
    objects = render(values=values)
    spec, settings = pod_specs(objects)[0], configuration(objects)
    seconds = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    seconds += int(settings["GPSERVE_DRAIN_SECONDS"]) + int(settings["GPSERVE_GRACEFUL_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] > seconds


def configuration(objects: list[dict[str, Any]]) -> dict[str, str]:
    (found,) = [
        each["data"]
        for each in objects
        if each["kind"] == "ConfigMap" and "GPSERVE_DRAIN_SECONDS" in each["data"]
    ]
    return dict(found)


def test_load_is_a_metric_only_if_custom_metrics_exist(render: Render) -> None:
    assert hpa_metrics(render()) == ["cpu"]
    assert hpa_metrics(render(apis=CUSTOM_METRICS)) == ["cpu", "http_requests_per_second"]
    always = 'autoscaling.load={"enabled":"always","metric":"backlog"}'
    assert hpa_metrics(render(always)) == ["cpu", "predict_backlog_seconds"]
    never = 'autoscaling.load.enabled="never"'
    assert hpa_metrics(render(never, apis=CUSTOM_METRICS)) == ["cpu"]


def test_keda_queries_the_pods_of_the_service(render: Render) -> None:
    objects = render('autoscaling.mode="keda"', "autoscaling.load.targetRequestsPerSecond=300")
    spec = only(objects, "ScaledObject")["spec"]
    assert spec["scaleTargetRef"] == {"name": only(objects, "Deployment")["metadata"]["name"]}
    load, cpu = spec["triggers"]
    service = only(objects, "Service")["metadata"]["name"]
    port = pod_specs(objects)[0]["containers"][0]["ports"][0]["containerPort"]
    assert load["metadata"]["url"] == f"http://{service}.surrogates.svc:{port}/metrics"
    assert load["metadata"]["aggregationType"] == "sum"
    assert load["metadata"]["targetValue"] == "300"
    assert cpu["metadata"]["value"] == "70"


def test_keys_are_mounted_where_the_service_reads_them(render: Render) -> None:
    objects = render('access={"anonymous":"none","keysSecret":{"name":"mine"}}')
    settings, spec = configuration(objects), pod_specs(objects)[0]
    assert settings["GPSERVE_ANONYMOUS"] == "none"
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "keys"]
    assert settings["GPSERVE_KEYS"] == f"{mount['mountPath']}/keys.toml"
    assert "subPath" not in mount  # such a mount would never change
    assert {"name": "keys", "secret": {"secretName": "mine"}} in spec["volumes"]
    assert "keys" not in {volume["name"] for volume in pod_specs(render())[0]["volumes"]}


MODELS = {
    "configMap": ("configMap", {"name": "mine"}),
    "secret": ("secret", {"secretName": "mine"}),
    "volume": ("nfs", {"server": "files", "path": "/models"}),
}


@pytest.mark.parametrize("source", MODELS)
def test_the_model_is_mounted_where_the_service_reads_it(render: Render, source: str) -> None:
    key, wanted = MODELS[source]
    objects = render(
        f'model.source="{source}"',
        'model.name="mine"',
        'model.volume={"nfs":{"server":"files","path":"/models"}}',
    )
    spec = pod_specs(objects)[0]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "model"]
    assert volume[key] == wanted
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "model"]
    assert configuration(objects)["GPSERVE_MODEL"] == f"{mount['mountPath']}/pretrained.npz"


def test_numbers_in_settings_keep_their_digits(render: Render) -> None:
    settings = 'settings={"GPSERVE_MAX_BODY_BYTES":209715200,"GPSERVE_MAX_BACKLOG_SECONDS":2.5}'
    found = configuration(render(settings))
    assert found["GPSERVE_MAX_BODY_BYTES"] == "209715200"
    assert found["GPSERVE_MAX_BACKLOG_SECONDS"] == "2.5"


def test_a_changed_setting_restarts_the_pods(render: Render) -> None:
    def template(objects: list[dict[str, Any]]) -> Any:
        return only(objects, "Deployment")["spec"]["template"]

    assert template(render()) != template(render('settings.GPSERVE_LOG_LEVEL="debug"'))


def test_another_way_to_roll_out_drops_what_belongs_to_the_default(render: Render) -> None:
    def strategies(*settings: str) -> list[dict[str, Any]]:
        objects = render("jobs.enabled=true", *settings)
        return [only(objects, "Deployment", part)["spec"]["strategy"] for part in ("", "worker")]

    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert strategies() == [rolling] * 2
    assert strategies('updateStrategy.type="Recreate"') == [{"type": "Recreate"}] * 2


def test_a_busy_pod_is_not_killed(render: Render) -> None:
    container = pod_specs(render())[0]["containers"][0]
    live, ready = container["livenessProbe"], container["readinessProbe"]
    assert live["httpGet"]["path"] == "/healthz"
    assert ready["httpGet"]["path"] == "/readyz"
    patience = {
        name: p["periodSeconds"] * p["failureThreshold"]
        for name, p in (("live", live), ("ready", ready))
    }
    assert patience["live"] > 2 * patience["ready"]


def test_a_release_named_like_the_chart_does_not_repeat_the_name(render: Render) -> None:
    assert only(render('fullnameOverride="x"'), "Service")["metadata"]["name"] == "x"
    assert only(render(), "Service")["metadata"]["name"] == "gp-gpserve"
    assert only(render('nameOverride="gp"'), "Service")["metadata"]["name"] == "gp"


def test_the_chart_has_one_resource_per_file() -> None:
    for path in (CHART / "templates").rglob("*.yaml"):
        text = path.read_text()
        assert text.count("\nkind: ") + text.startswith("kind: ") == 1, path
