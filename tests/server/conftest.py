"""A connection to the server of the test's own file."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.serving import Server


@pytest.fixture
def wire(server: Server) -> Iterator[socket.socket]:
    address = "127.0.0.1", server.port
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        yield connection
