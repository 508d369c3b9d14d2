"""Custom headers, to reach an ingress by its address or to get through a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from gpserve_client import AsyncClient, Client, ServiceError

from service.model import FloatArray
from tests.client.test_versions import TABLE
from tests.helpers.inprocess import WSGI, in_process

HEADERS = {"Host": "gpserve.local", "X-Forwarded-User": "ada"}
PATHS = {"/model", "/predict", "/jobs", "/jobs/1", "/train", "/models", "/models/1/activate"}
PATHS |= {"/model/diagnostics"}

CALLS: list[Callable[[Any, FloatArray], Any]] = [
    lambda gp, X: gp.predict(X, noise=False),
    lambda gp, X: gp.predict(X[0]),
    lambda gp, X: gp.submit(X),
    lambda gp, X: gp.jobs(),
    lambda gp, X: gp.job("1"),
    lambda gp, X: gp.train(TABLE, "height"),
    lambda gp, X: gp.models(),
    lambda gp, X: gp.activate("1"),
    lambda gp, X: gp.diagnostics(),
]


class Recorder:
    """Passes requests on to the service, which has no jobs, and records them."""

    def __init__(self, app: WSGI) -> None:
        self._app = app
        self.seen: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.seen.append(dict(environ))
        return self._app(environ, start_response)

    def each(self, name: str) -> set[str]:
        return {environ.get(name, "none") for environ in self.seen}


def _check(recorder: Recorder) -> None:
    assert recorder.each("PATH_INFO") == PATHS
    assert recorder.each("HTTP_HOST") == {"gpserve.local"}
    assert recorder.each("HTTP_X_FORWARDED_USER") == {"ada"}
    assert recorder.each("HTTP_AUTHORIZATION") == {"Bearer secret"}


def test_every_request_has_the_headers(gpserve: WSGI, X: FloatArray) -> None:
    recorder = Recorder(gpserve)
    with in_process(recorder) as url, Client(url, token="secret", headers=HEADERS) as gp:
        assert gp.predict(X).mean.shape == (20,)
        for call in CALLS:
            with suppress(ServiceError):
                call(gp, X)
    _check(recorder)


def test_every_request_of_the_async_client_has_the_headers(gpserve: WSGI, X: FloatArray) -> None:
    recorder = Recorder(gpserve)

    async def work(url: str) -> None:
        async with AsyncClient(url, token="secret", headers=HEADERS) as gp:
            assert (await gp.predict(X)).mean.shape == (20,)
            for call in CALLS:
                with suppress(ServiceError):
                    await call(gp, X)

    with in_process(recorder) as url:
        asyncio.run(work(url))
    _check(recorder)


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_an_authorization_header_replaces_the_token(gpserve: WSGI, name: str) -> None:
    recorder = Recorder(gpserve)
    with (
        in_process(recorder) as url,
        Client(url, token="secret", headers={name: "Basic YWRh"}) as gp,
    ):
        gp.model()
    assert recorder.each("HTTP_AUTHORIZATION") == {"Basic YWRh"}
