"""Fixtures shared by all tests: the bundled model, and servers that start once per session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits
from xdist.scheduler import LoadFileScheduling

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers import plainhttp
from tests.helpers.serving import ARTICLE, FLASK_ALONE, ROOT, Server, serving
from tests.helpers.toys import GATE

# A busy machine is slow, which is not a failure: see patience.py.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

PRETRAINED = ROOT / "service" / "pretrained.npz"


_SHARED = re.compile(r"\[(front|flask|files|redis)\b|^tests/client/test_(jobs|versions)")
"""Matches tests that share a server or stack, by fixture parameter or by file."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run all tests that share a server in one process; group the others by file."""
    scheduler: Any = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope

    def by_server(test: str) -> str:
        shared = _SHARED.search(test)
        return (shared[1] or "client") if shared else str(by_file(test))

    scheduler._split_scope = by_server
    return scheduler


_LONGEST = ("worker", "client", "web", "jobs")
"""The folders whose tests take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process waits long for another's end."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return _LONGEST.index(folder) if folder in _LONGEST else len(_LONGEST)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Use one BLAS thread, as the service does: tests compare bits, and more threads round\
    differently.\
    """
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="session")
def gpr() -> GPR:
    """The bundled model, in this process."""
    return GPR.load(PRETRAINED)


@pytest.fixture(scope="session")
def names(gpr: GPR) -> tuple[str, ...]:
    return gpr.description.feature_names


@pytest.fixture(scope="session")
def X(gpr: GPR) -> FloatArray:
    """Twenty points within the training range."""
    low, high = gpr.description.training_range.T
    return np.random.default_rng(1).uniform(low, high, (20, len(low))).round(3)


@pytest.fixture(scope="session")
def P(gpr: GPR, X: FloatArray) -> FloatArray:
    """The model's predictions at these points, shape (20, 2)."""
    return gpr.predict(X)


@pytest.fixture(scope="session", params=["front", "flask"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server started by the article's command, or Flask alone: both must answer the same."""
    arguments = ARTICLE if request.param == "front" else FLASK_ALONE
    with serving(tmp_path_factory.mktemp(request.param), *arguments) as running:
        yield running


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    with plainhttp.Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that keeps the gated toy models waiting while it exists."""
    path = tmp_path / "gate"
    monkeypatch.setenv(GATE, str(path))
    return path
