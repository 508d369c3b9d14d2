"""What the chart renders for jobs: workers, their queue, and web pods that accept jobs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__
from tests.deploy.chart.conftest import CHART, Render, only, part_of, pod_specs

JOBS = "jobs.enabled=true"
CUSTOM_METRICS = "custom.metrics.k8s.io/v1beta1"
MINE = 'redis.urlSecret={"name":"mine","key":"where"}'
REACHABLE = 'networkPolicy.egress=[{"ports":[{"port":6380}]}]'


def container(objects: list[dict[str, Any]], kind: str, part: str) -> dict[str, Any]:
    (found,) = only(objects, kind, part)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(objects: list[dict[str, Any]], part: str) -> dict[str, Any]:
    """Return a container's variables: the value, or the name and key of its Secret."""
    found = {}
    for each in container(objects, "Deployment", part).get("env", []):
        secret = each.get("valueFrom", {}).get("secretKeyRef", {})
        found[each["name"]] = each.get("value") or (secret["name"], secret["key"])
    return found


def test_without_jobs_nothing_is_rendered(render: Render) -> None:
    objects = render()
    assert {part_of(each) for each in objects} == {""}
    assert "GPSERVE_REDIS_URL" not in environment(objects, "")


@pytest.mark.parametrize("part", ["", "worker"])
def test_web_pods_and_workers_share_a_queue(render: Render, part: str) -> None:
    objects = render(JOBS)
    service = only(objects, "Service", "valkey")
    (port,) = service["spec"]["ports"]
    found = environment(objects, part)
    address = f"{service['metadata']['name']}:{port['port']}"
    assert found["GPSERVE_REDIS_URL"] == f"redis://:$(VALKEY_PASSWORD)@{address}/0"
    secret = only(objects, "Secret", "valkey")
    assert found["VALKEY_PASSWORD"] == (secret["metadata"]["name"], "password")
    # Kubernetes expands a variable only if the one it refers to is defined before it.
    assert list(found).index("VALKEY_PASSWORD") < list(found).index("GPSERVE_REDIS_URL")


@pytest.mark.parametrize("part", ["", "worker"])
def test_an_external_redis_comes_from_a_secret(render: Render, part: str) -> None:
    objects = render(JOBS, MINE, REACHABLE, 'jobs.store="s3://bucket/gp"')
    assert not [each for each in objects if part_of(each) == "valkey"]
    found = environment(objects, part)
    assert found["GPSERVE_REDIS_URL"] == ("mine", "where")
    assert found["GPSERVE_STORE"] == "s3://bucket/gp"
    assert {"ports": [{"port": 6380}]} in egress(objects, part)


def egress(objects: list[dict[str, Any]], part: str) -> list[Any]:
    return list(only(objects, "NetworkPolicy", part)["spec"]["egress"])


@pytest.mark.parametrize("part", ["", "worker"])
def test_network_policies_admit_web_pods_and_workers_to_the_queue(
    render: Render, part: str
) -> None:
    objects = render(JOBS)
    policy = only(objects, "NetworkPolicy", part)["spec"]
    pods = only(objects, "Deployment", part)["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= pods.items()
    valkey = only(objects, "StatefulSet", "valkey")["spec"]["template"]["metadata"]["labels"]
    (outgoing,) = [each for each in policy["egress"] if "to" in each]
    assert outgoing["to"][0]["podSelector"]["matchLabels"].items() <= valkey.items()
    (incoming,) = only(objects, "NetworkPolicy", "valkey")["spec"]["ingress"]
    admitted = [each["podSelector"]["matchLabels"].items() for each in incoming["from"]]
    assert [labels for labels in admitted if labels <= pods.items()]


def test_no_selector_of_the_web_pods_matches_a_worker(render: Render) -> None:
    objects = render(JOBS, "worker.podDisruptionBudget.enabled=true")
    worker = only(objects, "Deployment", "worker")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        only(objects, "Service")["spec"]["selector"],
        only(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(objects, "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    assert not [each for each in selectors if each.items() <= worker.items()]
    own = only(objects, "PodDisruptionBudget", "worker")["spec"]["selector"]["matchLabels"]
    assert own.items() <= worker.items()


def test_only_web_pods_get_the_token(render: Render) -> None:
    objects = render(JOBS, 'jobs.tokenSecret.name="let-in"')
    assert environment(objects, "")["GPSERVE_TOKEN"] == ("let-in", "token")
    assert "GPSERVE_TOKEN" not in environment(objects, "worker")
    assert "GPSERVE_TOKEN" not in environment(render(JOBS), "")


IMAGES = {
    "by default": ([], f"gpserve:{__version__}-train"),
    "the web pods' tag": (['image.tag="dev"'], "gpserve:dev-train"),
    "its own": (['worker.image={"repository":"r.org/gp","tag":"7"}'], "r.org/gp:7"),
}


@pytest.mark.parametrize(("settings", "wanted"), IMAGES.values(), ids=IMAGES)
def test_the_workers_image(render: Render, settings: list[str], wanted: str) -> None:
    assert container(render(JOBS, *settings), "Deployment", "worker")["image"] == wanted


def test_a_worker_is_probed_and_scraped_on_its_port(render: Render) -> None:
    objects = render(JOBS)
    found = container(objects, "Deployment", "worker")
    (port,) = found["ports"]
    assert environment(objects, "worker")["GPSERVE_WORKER_BIND"] == (
        f"0.0.0.0:{port['containerPort']}"
    )
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    template = only(objects, "Deployment", "worker")["spec"]["template"]
    scraped = template["metadata"]["annotations"]["prometheus.io/port"]
    assert scraped == str(port["containerPort"])
    monitored = render(JOBS, "metrics.serviceMonitor.enabled=true")
    (endpoint,) = only(monitored, "PodMonitor", "worker")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]


def test_a_worker_has_time_to_requeue_its_job(render: Render) -> None:
    objects = render(JOBS, "worker.gracefulSeconds=600")
    (spec,) = [each for each in pod_specs(objects) if each["containers"][0]["name"] == "worker"]
    assert environment(objects, "worker")["GPSERVE_GRACEFUL_SECONDS"] == "600"
    assert spec["terminationGracePeriodSeconds"] >= 610


def scaling(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (metric,) = only(objects, "HorizontalPodAutoscaler", "worker")["spec"]["metrics"]
    return dict(metric)


def test_workers_scale_on_the_queue_if_custom_metrics_exist(render: Render) -> None:
    metric = scaling(render(JOBS, apis=CUSTOM_METRICS))["pods"]
    assert metric["metric"]["name"] == "jobs_per_worker"
    assert metric["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert scaling(render(JOBS))["resource"]["name"] == "cpu"
    never = 'worker.autoscaling.queue.enabled="never"'
    assert "resource" in scaling(render(JOBS, never, apis=CUSTOM_METRICS))
    always = 'worker.autoscaling.queue={"enabled":"always","messagesPerWorker":2.5}'
    assert scaling(render(JOBS, always))["pods"]["target"]["averageValue"] == "2.5"


def test_keda_counts_running_jobs_and_scales_to_zero(render: Render) -> None:
    objects = render(JOBS, 'worker.autoscaling={"mode":"keda","minReplicas":0}')
    spec = only(objects, "ScaledObject", "worker")["spec"]
    assert spec["minReplicaCount"] == 0
    assert (
        spec["scaleTargetRef"]["name"] == only(objects, "Deployment", "worker")["metadata"]["name"]
    )
    gauges = {each["name"]: each["metadata"]["valueLocation"] for each in spec["triggers"]}
    assert gauges == {"queued": "jobs_queued", "running": "jobs_running"}
    assert spec["advanced"]["scalingModifiers"]["formula"] == "queued + running"
    urls = {each["metadata"]["url"] for each in spec["triggers"]}
    assert urls == {"http://gp-gpserve.surrogates.svc:5000/metrics"}


def test_the_rule_divides_by_the_pods_that_an_hpa_sums_over() -> None:
    rules = yaml.safe_load((CHART / "prometheus-adapter" / "rules.yaml").read_text())["rules"]
    (rule,) = [each for each in rules if each["name"]["as"] == "jobs_per_worker"]
    query = rule["metricsQuery"]
    assert "max(jobs_queued" in query
    assert "max(jobs_running" in query
    assert "/ scalar(count(" in query


def test_accepted_jobs_are_persistent(render: Render) -> None:
    objects = render(JOBS, 'valkey.persistence={"size":"20Gi","storageClass":"fast"}')
    arguments = container(objects, "StatefulSet", "valkey")["args"]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    (claim,) = only(objects, "StatefulSet", "valkey")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    (mount,) = container(objects, "StatefulSet", "valkey")["volumeMounts"]
    assert (mount["name"], mount["mountPath"]) == ("data", options["--dir"])


def test_an_upgrade_replaces_pods_and_nothing_that_kubernetes_keeps(
    render: Render, tmp_path: Path
) -> None:
    shutil.copytree(CHART, tmp_path / "gpserve")
    about = tmp_path / "gpserve" / "Chart.yaml"
    about.write_text(about.read_text().replace(__version__, "9.9.9"))
    before, after = render(JOBS), render(JOBS, chart=tmp_path / "gpserve")

    def kept(objects: list[dict[str, Any]]) -> list[Any]:
        store = dict(only(objects, "StatefulSet", "valkey")["spec"])
        del store["template"]
        pods = [only(objects, "Deployment", part)["spec"] for part in ("", "worker")]
        return [store, *[spec["selector"] for spec in pods]]

    assert kept(before) == kept(after)
    for kind, part, image in [
        ("Deployment", "", "gpserve:9.9.9"),
        ("Deployment", "worker", "gpserve:9.9.9-train"),
        ("StatefulSet", "valkey", container(before, "StatefulSet", "valkey")["image"]),
    ]:
        templates = [only(each, kind, part)["spec"]["template"] for each in (before, after)]
        assert templates[0] != templates[1]
        assert templates[1]["spec"]["containers"][0]["image"] == image


def test_an_existing_password_secret(render: Render) -> None:
    objects = render(JOBS, 'valkey.passwordSecret={"name":"mine","key":"word"}')
    assert not [each for each in objects if each["kind"] == "Secret"]
    assert environment(objects, "")["VALKEY_PASSWORD"] == ("mine", "word")
    (found,) = container(objects, "StatefulSet", "valkey")["env"]
    assert found["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "word"}


def test_every_installation_has_its_own_password(render: Render) -> None:
    first, second = (only(render(JOBS), "Secret", "valkey")["data"]["password"] for _ in "ab")
    assert first != second
    assert len(first) > 40
