"""One stack shared by all tests that kill no process."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers import plainhttp
from tests.helpers.stack import Stack, stack


@pytest.fixture(scope="package", params=["files", "redis"])
def jobs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A server and two workers, once with data in files and once with data in Redis."""
    folder = tmp_path_factory.mktemp("jobs")
    redis = f"unix://{folder / 'redis' / 'valkey.sock'}"
    store = redis if request.param == "redis" else ""
    with stack(folder, workers=2, store=store, chunk_seconds=0.02) as system:
        yield system


@pytest.fixture(scope="package")
def http(jobs: Stack) -> Iterator[httpx.Client]:
    with plainhttp.Client(base_url=jobs.http) as client:
        yield client


@pytest.fixture(scope="session")
def many(gpr: GPR) -> FloatArray:
    """Enough points to need more than one chunk."""
    low, high = gpr.description.training_range.T
    return np.random.default_rng(2).uniform(low, high, (6000, len(low))).round(3)


@pytest.fixture(scope="session")
def table(many: FloatArray, names: tuple[str, ...]) -> bytes:
    """The same points as CSV, with quoted cells, blank lines and an extra column."""
    lines = [f"id,{','.join(names)}"]
    for i, row in enumerate(many.tolist()):
        lines.append(f'"row ""{i}"", é",' + ",".join(map(str, row)))
        if i % 500 == 0:
            lines.append("")
    return ("\ufeff" + "\r\n".join(lines)).encode()
