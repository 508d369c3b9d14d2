"""Servers in this process that misbehave on purpose, and a stack of real ones that has jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from service.app import create_app
from service.runtime import Runtime
from service.settings import Settings
from tests.jobs.stack import Stack
from tests.jobs.stack import stack as started
from tests.serving import ARTICLE

WSGI = Callable[..., Any]
Serve = Callable[[WSGI], AbstractContextManager[str]]


class _Http11(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def _serve(app: WSGI) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Http11)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def serve() -> Serve:
    """A WSGI application on a port, and its URL."""
    return _serve


@pytest.fixture(scope="session")
def gpserve() -> WSGI:
    """The service as a WSGI application."""
    return create_app(Runtime(Settings())).wsgi_app


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two serving processes, a worker, a Valkey."""
    with started(tmp_path_factory.mktemp("client"), arguments=ARTICLE, chunk_seconds=0.02) as made:
        yield made
