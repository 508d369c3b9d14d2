"""Points distributed over replicas that may come and go, or be full."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from examples.surrogate import Surrogate
from service.gpr import GPR
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import Server, serving
from tests.tools.examples.balancer import balancing


def test_replicas_are_counted(server: Server, gpr: GPR, tmp_path: Path) -> None:
    X = np.tile(gpr.description.training_range.mean(axis=1), (64, 1))
    with serving(tmp_path) as other, balancing(server.port, other.port) as url:
        answer = Surrogate(url, parallel=8).predict(X, noise=True)
        assert len(answer.replicas) == 2
        other.stop()
    assert len(Surrogate(server.url, parallel=8).predict(X, noise=True).replicas) == 1


def test_requests_to_a_full_server_are_retried(gpr: GPR, tmp_path: Path, gate: Path) -> None:
    """A quarter of the requests is accepted, the others get 503 first; all points are answered."""
    low, high = gpr.description.training_range.T
    X = np.random.default_rng(2).uniform(low, high, (4000, len(low)))
    settings = {
        "model_class": "tests.helpers.toys:GatedGPR",
        "threads": 1,
        "max_waiting_uploads": 1,
    }
    with serving(tmp_path, **settings) as small, ThreadPoolExecutor(1) as thread:
        gate.touch()
        future = thread.submit(Surrogate(small.url, parallel=8).predict, X, noise=True)
        until(lambda: _has_refused(small))
        gate.unlink()
        answer = future.result()
    P = np.column_stack([answer.mean, answer.variance])
    np.testing.assert_allclose(P, gpr.predict(X), rtol=1e-9)


def _has_refused(server: Server) -> bool:
    refused = r'^http_requests_total\{code="503",.*route="/predict"\} [1-9]'
    return bool(re.search(refused, plainhttp.get(f"{server.url}/metrics").text, re.M))
