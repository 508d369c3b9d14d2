"""Clients as they are: pipelining, slow, broken, greedy. Over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from service.model import FloatArray
from tests import plainhttp
from tests.serving import Server, serving

BODY = json.dumps({"lat": -20.1, "long": 181.5, "depth": 500, "stations": 40}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The front, with limits short enough for a test."""
    with serving(
        tmp_path_factory.mktemp("sockets"),
        header_timeout_seconds=TIMEOUT,
        body_timeout_seconds=TIMEOUT,
        keepalive_seconds=2,
        keepalive_requests=50,
        max_body_bytes=1 << 20,
        access_log="all",
    ) as running:
        yield running


@pytest.fixture
def wire(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def read_answer(wire: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer, when no other follows it: status, headers, body."""
    return read_next(wire.makefile("rb"))


def read_next(stream: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """The next of several answers."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return status, headers, body
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def read_to_the_end(wire: socket.socket) -> bytes:
    data = b""
    while piece := wire.recv(65536):
        data += piece
    return data


def test_keep_alive(wire: socket.socket) -> None:
    for _ in range(3):
        wire.sendall(REQUEST)
        assert read_answer(wire)[0] == 200


def test_pipelining_keeps_the_order(wire: socket.socket) -> None:
    ids = [f"r{i}".encode() for i in range(20)]
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(b"".join(head + b"\r\nX-Request-Id: " + i + b"\r\n\r\n" + body for i in ids))
    stream = b""
    while stream.count(b"x-request-id") < 20:
        stream += wire.recv(65536)
    found = [
        line.split(b": ")[1] for line in stream.split(b"\r\n") if line.startswith(b"x-request-id")
    ]
    assert found == ids


def test_header_in_single_bytes(wire: socket.socket) -> None:
    for byte in REQUEST:
        wire.sendall(bytes([byte]))
    assert read_answer(wire)[0] == 200


def test_chunked_json(wire: socket.socket) -> None:
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for start in range(0, len(BODY), 10):
        piece = BODY[start : start + 10]
        wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    wire.sendall(b"0\r\n\r\n")
    status, _, body = read_answer(wire)
    assert status == 200, body


def test_chunked_table(wire: socket.socket) -> None:
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 3
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for byte in rows:
        wire.sendall(b"1\r\n%c\r\n" % byte)
    wire.sendall(b"0\r\n\r\n")
    status, _, body = read_answer(wire)
    assert status == 200
    assert len(json.loads(body)["mean"]) == 3


def test_expect_100_continue(wire: socket.socket) -> None:
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.sendall(body)
    assert read_answer(wire)[0] == 200


def test_length_and_chunks_together_are_refused(wire: socket.socket) -> None:
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")


def test_not_http(wire: socket.socket) -> None:
    wire.sendall(b"\x16\x03\x01\x02\x00hello\r\n\r\n")
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")


def test_half_a_header_is_ended(wire: socket.socket) -> None:
    started = time.monotonic()
    wire.sendall(REQUEST[:30])
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 10 * TIMEOUT


def test_a_dripping_header_is_ended(wire: socket.socket) -> None:
    answer = b""
    wire.settimeout(0.2)
    for byte in REQUEST[:60]:
        try:
            wire.sendall(bytes([byte]))
            answer += wire.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
        if answer:
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_silence_is_ended(wire: socket.socket) -> None:
    assert read_to_the_end(wire) == b""


@pytest.mark.parametrize("kind", [b"application/json", b"text/csv"])
def test_half_a_body_is_ended(wire: socket.socket, kind: bytes) -> None:
    wire.sendall(REQUEST[:-10].replace(b"application/json", kind))
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 408 ")


def test_a_dripping_body_is_ended(wire: socket.socket) -> None:
    wire.sendall(REQUEST[: -len(BODY)].replace(b"Content-Length: ", b"Content-Length: 9"))
    answer = b""
    wire.settimeout(0.2)
    for _ in range(60):
        try:
            wire.sendall(b" ")
            answer += wire.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
        if answer:
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_slow_but_steady_body_is_read(wire: socket.socket) -> None:
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 200
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
        b"Content-Length: %d\r\n\r\n" % len(rows)
    )
    for start in range(0, len(rows), 300):  # twice as long as the time-out
        wire.sendall(rows[start : start + 300])
        time.sleep(0.2)
    assert read_answer(wire)[0] == 200


def test_an_idle_connection_is_closed(wire: socket.socket) -> None:
    wire.sendall(REQUEST)
    assert read_answer(wire)[0] == 200
    assert wire.recv(1) == b""


def test_a_long_connection_is_sent_away(wire: socket.socket) -> None:
    for i in range(50):
        wire.sendall(REQUEST)
        _, headers, _ = read_answer(wire)
        assert ("connection" in headers) == (i == 49)
    assert wire.recv(1) == b""


def test_too_large_header(wire: socket.socket) -> None:
    head, _, _ = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nX-Large: " + b"x" * 60_000)
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 431 ")


def test_too_large_body(server: Server) -> None:
    answer = plainhttp.post(
        f"{server.url}/predict",
        content=b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 100_000,
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 413
    assert answer.json()["limit"] == 1 << 20


def test_a_client_that_leaves_in_the_middle_of_an_answer(
    server: Server, wire: socket.socket
) -> None:
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 60_000
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        b"X-Request-Id: leaver\r\nContent-Length: %d\r\n\r\n%s" % (len(rows), rows)
    )
    assert wire.recv(100).startswith(b"HTTP/1.1 200 ")
    wire.close()
    for _ in range(100):
        if "leaver" in server.log.read_text():
            break
        time.sleep(0.1)
    assert "leaver" in server.log.read_text()
    assert plainhttp.get(f"{server.url}/healthz").status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_does_not_read_is_ended(server: Server, wire: socket.socket) -> None:
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    rows = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 60_000
    wire.sendall(
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        b"X-Request-Id: sleeper\r\nContent-Length: %d\r\n\r\n%s" % (len(rows), rows)
    )
    for _ in range(600):
        if "sleeper" in server.log.read_text():
            break
        time.sleep(0.1)
    assert "sleeper" in server.log.read_text()


def test_first_bytes_come_before_the_last_row_is_sent(wire: socket.socket) -> None:
    wire.sendall(
        b"POST /predict?on_bad_row=nan HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
        b"Accept: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 10_000
    wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    assert wire.recv(100).startswith(b"HTTP/1.1 200 ")
    wire.sendall(b"f\r\n-20,181,500,40\n\r\n0\r\n\r\n")
    answer = read_to_the_end_of_chunks(wire)
    assert answer.count(b"\n-20,181,500,40,") == 10_001


def read_to_the_end_of_chunks(wire: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data += wire.recv(65536)
    body = b""
    stream = data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP") else data
    stream = stream[stream.index(b"lat,") :] if b"lat," in stream else stream
    for line in stream.split(b"\r\n"):
        body += line if b"," in line else b""
    return body


def test_json_logs_have_the_request_id(server: Server, X: FloatArray) -> None:
    body = {"points": X[0].tolist()}
    plainhttp.post(f"{server.url}/predict", json=body, headers={"X-Request-Id": "look-for-me"})
    time.sleep(0.2)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "look-for-me"]
    assert line["status"] == 200
    assert line["path"] == "/predict"
    assert line["level"] == "INFO"
