"""Clients that stall: half a request, single bytes, silence, a response that nobody reads."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import msgspec
import pytest

from service.commands.options import BUNDLED_MODEL
from service.gpr import GPR
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import Server, serving
from tests.helpers.wire import BODY, REQUEST, read_answer, read_to_the_end

NAME = GPR.load(BUNDLED_MODEL).description.name
TIMEOUT = 3.0
"""Long enough that a client which sends every 0.2 s may wait a second or more for a CPU."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, with timeouts short enough for a test."""
    with serving(
        tmp_path_factory.mktemp("stalled"),
        header_timeout_seconds=TIMEOUT,
        body_timeout_seconds=TIMEOUT,
        keepalive_seconds=2,
        access_log="all",
    ) as running:
        yield running


def drip(wire: socket.socket, data: bytes) -> bytes:
    """Send a byte every 0.2 s and return the first response, or nothing if none comes."""
    wire.settimeout(0.2)
    for byte in data:
        try:
            wire.sendall(bytes([byte]))
            if answer := wire.recv(4096):
                return answer
        except TimeoutError:
            continue
        except OSError:
            break
    return b""


def send_table(wire: socket.socket, request_id: bytes) -> None:
    """Ask for a response that is larger than a socket's buffer."""
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 60_000
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        b"X-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (request_id, len(rows), rows)
    )


def test_half_a_header_is_ended(wire: socket.socket) -> None:
    wire.sendall(REQUEST[:30])
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 408 ")


def test_a_dripping_header_is_ended(wire: socket.socket) -> None:
    assert drip(wire, REQUEST[:60]).startswith(b"HTTP/1.1 408 ")


def test_silence_is_ended(wire: socket.socket) -> None:
    assert read_to_the_end(wire) == b""


@pytest.mark.parametrize("kind", [b"application/json", b"text/csv"])
def test_half_a_body_is_ended(wire: socket.socket, kind: bytes) -> None:
    wire.sendall(REQUEST[:-10].replace(b"application/json", kind))
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 408 ")


def test_a_dripping_body_is_ended(wire: socket.socket) -> None:
    wire.sendall(REQUEST[: -len(BODY)].replace(b"Content-Length: ", b"Content-Length: 9"))
    assert drip(wire, b" " * 60).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_drips_after_its_refusal_is_ended(wire: socket.socket) -> None:
    wire.sendall(
        b"POST /nowhere HTTP/1.1\r\nHost: gp\r\nConnection: close\r\nContent-Length: 999\r\n\r\n1"
    )
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 404 ")

    def is_reset() -> bool:
        try:
            wire.sendall(b"1")
        except ConnectionError:
            return True
        return False

    until(is_reset)


def test_a_slow_but_steady_body_is_read(wire: socket.socket) -> None:
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 400
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
        b"Content-Length: %d\r\n\r\n" % len(rows)
    )
    for start in range(0, len(rows), 300):  # for longer than the time-out
        wire.sendall(rows[start : start + 300])
        time.sleep(0.2)
    assert read_answer(wire)[0] == 200


def test_an_idle_connection_is_closed(wire: socket.socket) -> None:
    wire.sendall(REQUEST)
    assert read_answer(wire)[0] == 200
    assert wire.recv(1) == b""


def test_a_client_that_leaves_in_the_middle_of_an_answer(
    server: Server, wire: socket.socket
) -> None:
    send_table(wire, b"leaver")
    assert wire.recv(100).startswith(b"HTTP/1.1 200 ")
    wire.close()
    until(lambda: "leaver" in server.log.read_text())
    assert plainhttp.get(f"{server.url}/healthz").status_code == 200
    assert "Traceback" not in server.log.read_text()


MANY = 200_000


def many(kind: str) -> tuple[str, bytes, bytes]:
    """A request that takes half a minute: path, media type and body."""
    point = [-20, 181, 500, 40]
    if kind == "a table":
        rows = b"-20,181,500,40\n" * MANY
        return "/predict", b"text/csv", b"lat,long,depth,stations\n" + rows
    if kind == "points":
        return "/predict", b"application/json", msgspec.json.encode({"points": [point] * MANY})
    if kind == "v2":
        tensor = {"name": "x", "datatype": "FP64", "shape": [MANY, 4], "data": point * MANY}
        return (
            f"/v2/models/{NAME}/infer",
            b"application/json",
            msgspec.json.encode({"inputs": [tensor]}),
        )
    call = {"name": NAME, "input": [point * MANY], "config": {"n": MANY}}
    return "/Evaluate", b"application/json", msgspec.json.encode(call)


@pytest.mark.parametrize("kind", ["a table", "points", "v2", "UM-Bridge"])
def test_nothing_more_is_computed_for_a_client_that_has_left(
    server: Server, wire: socket.socket, kind: str
) -> None:
    """The answer of each is computed as a whole before its first byte."""

    def predicted() -> float:
        text = plainhttp.get(f"{server.url}/metrics").text
        return float(re.findall(r"^predicted_points_total (\S+)", text, re.MULTILINE)[0])

    path, media_type, body = many(kind)
    id, before = f"left-{kind}".replace(" ", "-"), predicted()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gp\r\nX-Request-Id: {id}\r\nContent-Length: {len(body)}\r\n"
    )
    wire.sendall(head.encode() + b"Content-Type: " + media_type + b"\r\n\r\n" + body)
    until(lambda: predicted() > before)
    wire.close()
    until(lambda: id in server.log.read_text())
    assert predicted() < before + MANY
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_does_not_read_is_ended(server: Server, wire: socket.socket) -> None:
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send_table(wire, b"sleeper")
    until(lambda: "sleeper" in server.log.read_text())
