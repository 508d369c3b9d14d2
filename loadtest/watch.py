"""The state of the cluster over time: replicas, the HPA's metrics, and the states of pods."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime
from typing import Any

from kubernetes import client, config

from loadtest.autoscaler import MetricsApi
from loadtest.samples import Pod, Sample


def state_of(pod: Any) -> str:
    """Return the state of a pod in one word."""
    if pod.metadata.deletion_timestamp:
        return "Terminating"
    if is_ready(pod):
        return "Ready"
    return "Pending" if pod.status.phase == "Pending" else "Starting"


def is_ready(pod: Any) -> bool:
    """Return whether a pod gets requests."""
    conditions = pod.status.conditions or []
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


class Watch(threading.Thread):
    """A thread that samples one Deployment every second until it is stopped."""

    def __init__(self, namespace: str, deployment: str) -> None:
        super().__init__(daemon=True)
        config.load_kube_config()
        self.apps, self.core = client.AppsV1Api(), client.CoreV1Api()
        self.scaling = client.AutoscalingV2Api()
        self.namespace, self.deployment = namespace, deployment
        self.started = time.time()
        self.samples: list[Sample] = []
        self.pods: dict[str, Pod] = {}
        self.problems: Counter[str] = Counter()
        self._ended = threading.Event()

    def begin(self, started: float) -> None:
        """Start the thread, with times relative to `started`."""
        self.started = started
        self.pods.clear()
        self.start()

    def run(self) -> None:
        """Take samples; a failed one is counted and tried again."""
        while not self._ended.is_set():
            begun = time.time()
            try:
                self.samples.append(self.sample())
            except Exception as error:  # the API server may be briefly unavailable
                self.problems[type(error).__name__] += 1
            self._ended.wait(max(0.0, 1 - (time.time() - begun)))

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()

    def sample(self) -> Sample:
        """Return one sample."""
        deployment: Any = self.apps.read_namespaced_deployment(self.deployment, self.namespace)
        sample = Sample(time.time() - self.started)
        sample.desired = deployment.spec.replicas
        sample.ready = deployment.status.ready_replicas or 0
        selector = deployment.spec.selector.match_labels.items()
        labels = ",".join(f"{key}={value}" for key, value in selector)
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=labels).items
        for pod in pods:
            sample.pods[state_of(pod)] += 1
            self._follow(pod)
        api = MetricsApi(self.core.api_client, self.namespace, labels)
        for hpa in self.scaling.list_namespaced_horizontal_pod_autoscaler(self.namespace).items:
            if hpa.spec.scale_target_ref.name == self.deployment:
                sample.metrics = api.read(hpa, [pod for pod in pods if is_ready(pod)])
        return sample

    def _follow(self, pod: Any) -> None:
        name = pod.metadata.name
        known = self.pods.setdefault(name, Pod(name, self._since(pod.metadata.creation_timestamp)))
        if known.ready is None and is_ready(pod):
            known.ready = time.time() - self.started

    def _since(self, moment: datetime) -> float:
        return moment.timestamp() - self.started
