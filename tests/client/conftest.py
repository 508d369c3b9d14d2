"""Servers in this process that misbehave on purpose, and a stack of real ones that has jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from service.app import create_app
from service.runtime import Runtime
from service.settings import Settings
from tests.inprocess import WSGI, in_process
from tests.jobs.stack import Stack
from tests.jobs.stack import stack as started
from tests.serving import ARTICLE

Serve = Callable[[WSGI], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """A WSGI application on a port, and its URL."""
    return in_process


@pytest.fixture(scope="session")
def gpserve() -> WSGI:
    """The service as a WSGI application."""
    return create_app(Runtime(Settings())).wsgi_app


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two serving processes, a worker, a Valkey."""
    with started(tmp_path_factory.mktemp("client"), arguments=ARTICLE, chunk_seconds=0.02) as made:
        yield made
