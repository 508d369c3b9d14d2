"""Run commands against the cluster of KUBECONFIG; settings come from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "gpserve"

IMAGE = os.environ.get("E2E_IMAGE", "gpserve:dev")
URL = os.environ.get("E2E_URL", "http://127.0.0.1:8080")
HELM = os.environ.get("E2E_HELM", "helm")
GATEWAY = os.environ.get("E2E_GATEWAY", "")
HOST = "gpserve.local"


class CommandFailed(AssertionError):
    """A command failed; the message contains its output."""


def run(*command: str | Path, given: str | None = None) -> str:
    """Run a command and return its output.

    Raises
    ------
    CommandFailed
        The command failed.
    """
    done = subprocess.run(
        [str(word) for word in command], input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise CommandFailed(f"{words}\n{done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*words: str | Path, given: str | None = None) -> str:
    """Run kubectl."""
    return run("kubectl", *words, given=given)


def get(*words: str) -> dict[str, Any]:
    """Return the result of `kubectl get`."""
    return dict(json.loads(kubectl("get", *words, "-o", "json")))


def api_groups() -> set[str]:
    """Return the names of the API groups that the cluster serves."""
    return {version.split("/")[0] for version in kubectl("api-versions").split()}


def eventually(what: str, seconds: float, check: Callable[[], Any]) -> Any:
    """Call a check every half second until its value is true, and return the value.

    Raises
    ------
    AssertionError
        The check was never true in time; the message says what was expected.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := check():
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


# A small pod for a small cluster; it scales down as fast as the controller allows.
SMALL: dict[str, Any] = {
    "image": {"repository": IMAGE.rpartition(":")[0], "tag": IMAGE.rpartition(":")[2]},
    "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
    "autoscaling": {
        "minReplicas": 1,
        "maxReplicas": 4,
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 15,
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            }
        },
    },
}


def merged(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the base values, overridden by others."""
    result = dict(base)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


class Release:
    """The chart, installed into one namespace."""

    def __init__(self, namespace: str, name: str = "gp") -> None:
        self.namespace, self.name = namespace, name
        self.deployment = f"{name}-gpserve"

    def install(self, values: dict[str, Any] | None = None) -> str:
        """Install or upgrade the chart, wait until it is ready, and return the notes."""
        given = yaml.safe_dump(merged(SMALL, values or {}))
        command: list[str | Path] = ["upgrade", "--install", self.name, CHART, "--values", "-"]
        try:
            notes = self.helm(*command, "--wait", "--timeout", "5m", given=given)
        except CommandFailed as error:
            events = self.kubectl("get", "events", "--field-selector", "type=Warning")
            raise CommandFailed(f"{error}\n{events}\nimage: {IMAGE} (E2E_LOAD_IMAGE)") from error
        self.kubectl("rollout", "status", f"deployment/{self.deployment}", "--timeout=3m")
        return notes

    def helm(self, *words: str | Path, given: str | None = None) -> str:
        """Run helm in the namespace."""
        return run(HELM, *words, "--namespace", self.namespace, given=given)

    def kubectl(self, *words: str | Path, given: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return kubectl("--namespace", self.namespace, *words, given=given)

    def get(self, *words: str) -> dict[str, Any]:
        """Return the result of `kubectl get` in the namespace."""
        return get("--namespace", self.namespace, *words)

    def pods(self) -> list[dict[str, Any]]:
        """Return the release's pods, except the helm test's."""
        found = self.get("pods", "--selector", "app.kubernetes.io/name=gpserve")
        return list(found["items"])

    def pod_names(self) -> list[str]:
        """Return the names of the pods that are not terminating."""
        alive = [pod for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]]
        return [pod["metadata"]["name"] for pod in alive]

    def scale(self, replicas: int) -> None:
        """Set the number of pods, and wait until they are ready."""
        self.kubectl("scale", f"deployment/{self.deployment}", f"--replicas={replicas}")
        self.settle()

    def settle(self) -> None:
        """Wait until all pods are ready and no pod is terminating."""
        self.kubectl("rollout", "status", f"deployment/{self.deployment}", "--timeout=3m")
        eventually("only ready pods", 240, self.is_settled)

    def is_settled(self) -> bool:
        """Whether all requested pods are ready and there are no others."""
        status = self.get("deployment", self.deployment)
        wanted = status["spec"]["replicas"]
        ready = status["status"].get("readyReplicas", 0)
        return bool(wanted == ready == len(self.pods()))
