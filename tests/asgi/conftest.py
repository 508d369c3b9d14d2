"""A connection to the server of the test's own file."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.helpers.serving import Server


@pytest.fixture
def wire(server: Server) -> Iterator[socket.socket]:
    with server.connect() as connection:
        yield connection
