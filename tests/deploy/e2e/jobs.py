"""Jobs on the cluster: the chart's values that enable them, and a client's requests."""

from __future__ import annotations

import os
from typing import Any

import httpx
import numpy as np

from service.gpr import GPR
from tests.deploy.e2e.cluster import IMAGE, ROOT, Release, eventually

WORKER_IMAGE = os.environ.get("E2E_WORKER_IMAGE", f"{IMAGE}-train")
VALKEY_IMAGE = os.environ.get("E2E_VALKEY_IMAGE", "valkey/valkey:9.1.3")
TOKEN, TOKEN_SECRET = "let-me-train", "gpserve-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CSV = {"Content-Type": "text/csv", "Accept": "text/csv"}


def image(name: str) -> dict[str, str]:
    """Return an image in the form of the chart's values."""
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


def values(release: Release) -> dict[str, Any]:
    """Return values with jobs enabled, and a fixed number of small workers."""
    return {
        "jobs": {"enabled": True, "tokenSecret": {"name": TOKEN_SECRET}},
        "valkey": {
            "image": image(VALKEY_IMAGE),
            "resources": {"requests": {"cpu": "50m"}},
            "persistence": {"enabled": has_storage(release)},
        },
        "worker": {
            "image": image(WORKER_IMAGE),
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1"}},
            "autoscaling": {"mode": "none"},
        },
    }


def has_storage(release: Release) -> bool:
    """Whether the cluster has a default storage class."""
    key = "storageclass.kubernetes.io/is-default-class"
    found = release.get("storageclasses")["items"]
    return any(each["metadata"].get("annotations", {}).get(key) == "true" for each in found)


def make_token(release: Release) -> None:
    """Create the Secret with the bearer token, unless it exists."""
    if release.kubectl("get", "secret", TOKEN_SECRET, "--ignore-not-found"):
        return
    words = ("create", "secret", "generic", TOKEN_SECRET, f"--from-literal=token={TOKEN}")
    release.kubectl(*words)


def table(gpr: GPR, rows: int, seed: int) -> str:
    """Return random points from the model's training range as CSV."""
    low, high = gpr.description.training_range.T
    X = np.random.default_rng(seed).uniform(low, high, (rows, len(low)))
    lines = (",".join(map(repr, row)) for row in X.tolist())
    return ",".join(gpr.description.feature_names) + "\n" + "\n".join(lines) + "\n"


def submit(http: httpx.Client, text: str) -> str:
    """Submit a table for prediction as a job, and return the job's URL."""
    headers = {**CSV, "Prefer": "respond-async"}
    answer = http.post("/predict", content=text, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def train(http: httpx.Client, **options: str) -> str:
    """Submit a training on the bundled data, and return the job's URL."""
    text = (ROOT / "data" / "quakes.csv").read_text()
    params = {"target": "mag", "restarts": "1", **options}
    headers = {"Content-Type": "text/csv", **BEARER}
    answer = http.post("/train", content=text, params=params, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def status(http: httpx.Client, job: str) -> str:
    """Return a job's status.

    Raises
    ------
    AssertionError
        The job failed or was dismissed; the message is its document.
    """
    answer = http.get(job, headers=BEARER)
    assert answer.status_code == 200, answer.text
    found = str(answer.json()["status"])
    assert found not in ("failed", "dismissed"), answer.text
    return found


def finish(http: httpx.Client, job: str, seconds: float = 120) -> dict[str, Any]:
    """Wait until a job has succeeded, and return its document."""
    eventually(f"the end of {job}", seconds, lambda: status(http, job) == "successful")
    return dict(http.get(job, headers=BEARER).json())


def result(http: httpx.Client, job: str) -> str:
    """Return a job's result as CSV."""
    answer = http.get(f"{job}/results", headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return answer.text
