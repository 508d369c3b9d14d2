"""The service in this process, and a stack of real processes that has jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.app import create_app
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.inprocess import WSGI
from tests.helpers.serving import ARTICLE
from tests.helpers.stack import Stack
from tests.helpers.stack import stack as started


@pytest.fixture(scope="package", autouse=True)
def no_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spare each client reading the authorities of TLS, which nobody speaks here: 20 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        yield


@pytest.fixture(scope="session")
def gpserve() -> WSGI:
    """The service as a WSGI application."""
    return create_app(Runtime(Settings())).wsgi_app


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two serving processes, a worker, a Valkey."""
    with started(tmp_path_factory.mktemp("client"), arguments=ARTICLE, chunk_seconds=0.02) as made:
        yield made
