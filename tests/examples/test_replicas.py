"""Points shared out among replicas, which come and go, and may be full."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from examples.surrogate import Surrogate
from service.gpr import GPR
from tests import plainhttp
from tests.examples.balancer import balancing
from tests.serving import Server, serving


def test_the_replicas_are_told_apart(server: Server, gpr: GPR, tmp_path: Path) -> None:
    X = np.tile(gpr.description.training_range.mean(axis=1), (64, 1))
    with serving(tmp_path) as other, balancing(server.port, other.port) as url:
        answer = Surrogate(url, parallel=8).predict(X, noise=True)
        assert len(answer.replicas) == 2
        other.stop()
    assert len(Surrogate(server.url, parallel=8).predict(X, noise=True).replicas) == 1


def test_a_full_server_is_asked_again(gpr: GPR, tmp_path: Path) -> None:
    """Half of the places are taken: some requests get 503, and all points their answer."""
    low, high = gpr.description.training_range.T
    X = np.random.default_rng(2).uniform(low, high, (4000, len(low)))
    with serving(tmp_path, threads=1, max_waiting_uploads=1) as small:
        answer = Surrogate(small.url, parallel=8).predict(X, noise=True)
        metrics = plainhttp.get(f"{small.url}/metrics").text
    assert re.search(r'^http_requests_total\{code="503",.*\} [1-9]', metrics, re.M)
    P = np.column_stack([answer.mean, answer.variance])
    np.testing.assert_allclose(P, gpr.predict(X), rtol=1e-9)
