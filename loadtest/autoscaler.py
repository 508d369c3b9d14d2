"""The metrics of an HPA, read from the APIs that the HPA itself reads every 15 s."""

from __future__ import annotations

import json
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.utils.quantity import parse_quantity


class MetricsApi:
    """The metrics of the pods of one Deployment.

    Parameters
    ----------
    api : the cluster
    namespace : of the Deployment
    labels : the pods' label selector
    """

    def __init__(self, api: ApiClient, namespace: str, labels: str) -> None:
        self.api, self.namespace, self.labels = api, namespace, labels

    def read(self, hpa: Any, pods: list[Any]) -> dict[str, tuple[float, float]]:
        """Return (current value, target) by metric: percent for CPU, else per pod.

        Metrics that cannot be read yet, as before the first scrape, are left out.
        """
        found = {}
        for metric in hpa.spec.metrics or []:
            try:
                name, value, target = self._one(metric, pods)
            except (ApiException, KeyError, ZeroDivisionError):
                continue
            found[name] = (value, target)
        return found

    def _one(self, metric: Any, pods: list[Any]) -> tuple[str, float, float]:
        if metric.type == "Resource":
            return "cpu", self._cpu(pods), float(metric.resource.target.average_utilization)
        if metric.type == "Pods":
            name = metric.pods.metric.name
            values = self._items("custom.metrics.k8s.io/v1beta1", f"pods/*/{name}", self.labels)
            target = quantity(metric.pods.target.average_value)
            return name, sum(values) / len(values), target
        name = metric.external.metric.name
        selector = metric.external.metric.selector.match_labels or {}
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        values = self._items("external.metrics.k8s.io/v1beta1", name, labels)
        target = quantity(metric.external.target.average_value)
        return name, sum(values) / max(1, len(pods)), target

    def _cpu(self, pods: list[Any]) -> float:
        """Return the pods' CPU use as a percentage of their requests."""
        answer = self._get("metrics.k8s.io/v1beta1", "pods", self.labels)
        used = {
            item["metadata"]["name"]: sum(quantity(c["usage"]["cpu"]) for c in item["containers"])
            for item in answer["items"]
        }
        requests = {pod.metadata.name: requested(pod) for pod in pods}
        both = used.keys() & requests.keys()
        return 100 * sum(used[name] for name in both) / sum(requests[name] for name in both)

    def _items(self, version: str, path: str, labels: str) -> list[float]:
        return [quantity(item["value"]) for item in self._get(version, path, labels)["items"]]

    def _get(self, version: str, path: str, labels: str) -> Any:
        request = self.api.param_serialize(
            "GET",
            f"/apis/{version}/namespaces/{self.namespace}/{path}",
            query_params=[("labelSelector", labels)],
            auth_settings=["BearerToken"],
        )
        answer = self.api.call_api(*request)
        body = answer.read()
        if answer.status != 200:
            raise ApiException(status=answer.status, body=body)
        return json.loads(body)


def quantity(text: str) -> float:
    """Return a Kubernetes quantity as a number."""
    return float(parse_quantity(text))


def requested(pod: Any) -> float:
    """Return the CPUs that a pod requests."""
    return sum(quantity(each.resources.requests["cpu"]) for each in pod.spec.containers)
