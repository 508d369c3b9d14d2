"""HTTP/1.0 has no chunked encoding: a body of unknown length ends when the connection closes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.helpers import plainhttp
from tests.helpers.serving import Server, serving
from tests.helpers.wire import read_to_the_end


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("http10")) as running:
        yield running


POINTS = [[-20, 181, 500, 30], [-20, 181, 500, 31]]


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize("options", [{}, {"interval": 0.95}])
def test_the_same_bytes_as_to_others(
    server: Server, accept: str, options: dict[str, float]
) -> None:
    asked = {"points": POINTS, **options}
    body = json.dumps(asked).encode()
    with server.connect() as wire:
        head = f"Accept: {accept}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        wire.sendall(f"POST /predict HTTP/1.0\r\n{head}\r\n\r\n".encode() + body)
        head_of_answer, _, answer = read_to_the_end(wire).partition(b"\r\n\r\n")
    assert head_of_answer.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head_of_answer.lower()
    assert b"connection: close" in head_of_answer.lower()
    theirs = plainhttp.post(f"{server.url}/predict", json=asked, headers={"Accept": accept})
    assert answer == theirs.content


def test_a_head(server: Server) -> None:
    with server.connect() as wire:
        wire.sendall(b"HEAD /model HTTP/1.0\r\n\r\n")
        said = read_to_the_end(wire)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")
