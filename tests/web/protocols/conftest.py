"""Servers of the analytic model, and the clients that other people wrote."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from service.model import FloatArray
from tests.helpers import plainhttp
from tests.helpers.serving import FLASK_ALONE, ONE_WORKER, Server, serving
from tests.web.protocols.analytic import Analytic


@pytest.fixture(scope="session", params=["front", "flask"])
def analytic(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The analytic model, behind the front and as Flask alone."""
    arguments = ONE_WORKER if request.param == "front" else FLASK_ALONE
    tmp = tmp_path_factory.mktemp("analytic")
    with serving(tmp, *arguments, model_class=f"{Analytic.__module__}:Analytic") as running:
        yield running


@pytest.fixture
def point(X: FloatArray) -> list[float]:
    """One point within the training range of the bundled model."""
    values: list[float] = X[0].tolist()
    return values


@pytest.fixture(scope="session")
def sum_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A model without derivatives."""
    tmp = tmp_path_factory.mktemp("sum")
    with (
        serving(tmp, model_class="tests.helpers.toys:Sum") as running,
        plainhttp.Client(base_url=running.url) as client,
    ):
        yield client
