"""Upgrades, which Java's client and `curl --http2` offer, are ignored, and nothing is lost."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.helpers.serving import Server, serving
from tests.helpers.wire import BODY, REQUEST, read_next, read_to_the_end

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
OFFERING = REQUEST.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n")
GET = b"GET /predict?lat=-20&long=181&depth=500&stations=30 HTTP/1.1\r\nHost: gp\r\n"


def _answers(server: Server, *pieces: bytes, count: int) -> list[bytes]:
    """Send pieces and return the bodies of `count` responses."""
    with server.connect() as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            wire.sendall(piece)
        stream = wire.makefile("rb")
        read = [read_next(stream) for _ in range(count)]
        assert [status for status, _, _ in read] == [200] * count
        return [body for _, _, body in read]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("upgrades")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(server: Server) -> bytes:
    """The response to the request without an upgrade."""
    return _answers(server, REQUEST, count=1)[0]


@pytest.mark.parametrize("cut", [len(OFFERING), 1, 60, len(OFFERING) - len(BODY), -5])
def test_its_body_is_read(server: Server, plain: bytes, cut: int) -> None:
    assert _answers(server, OFFERING[:cut], OFFERING[cut:], count=1) == [plain]


def test_in_single_bytes(server: Server, plain: bytes) -> None:
    assert _answers(server, *(bytes([byte]) for byte in OFFERING), count=1) == [plain]


def test_a_chunked_body(server: Server, plain: bytes) -> None:
    length = b"Content-Length: %d" % len(BODY)
    head = OFFERING.partition(b"\r\n\r\n")[0].replace(length, b"Transfer-Encoding: chunked")
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    assert _answers(server, head + b"\r\n\r\n", chunks + REQUEST, count=2) == [plain] * 2


def test_many_in_one_piece(server: Server, plain: bytes) -> None:
    assert _answers(server, (OFFERING + REQUEST) * 20, count=40) == [plain] * 40


def test_a_websocket_is_not_spoken(server: Server) -> None:
    offer = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    [said] = _answers(server, GET + offer, count=1)
    assert "mean" in json.loads(said)


def test_a_body_is_never_a_request(server: Server, plain: bytes) -> None:
    """Once it was answered as the next one, which a proxy would have given to another client."""
    smuggled = GET + b"\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
    length = b"Content-Length: %d\r\n" % len(smuggled)
    with server.connect() as wire:
        wire.sendall(head + OFFER + length + b"\r\n")
        wire.sendall(smuggled)
        stream = wire.makefile("rb")
        assert read_next(stream)[0] == 422
        wire.sendall(REQUEST)
        status, _, body = read_next(stream)
    assert (status, body) == (200, plain)


def test_connect_is_refused(server: Server) -> None:
    with server.connect() as wire:
        wire.sendall(b"CONNECT gp:443 HTTP/1.1\r\nHost: gp:443\r\n\r\n" + REQUEST)
        said = read_to_the_end(wire)
    assert said.startswith(b"HTTP/1.1 405 ")
    assert said.count(b"HTTP/1.1") == 1


def test_curl_with_http2(server: Server, plain: bytes) -> None:
    command = ["curl", "-s", "--http2", f"{server.url}/predict", "--json", BODY.decode()]
    assert subprocess.run(command, capture_output=True, check=True).stdout == plain
