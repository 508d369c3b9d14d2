"""Clients over real sockets: pipelined, fragmented, malformed and oversized requests."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.model import FloatArray
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import Server, serving
from tests.helpers.wire import BODY, REQUEST, read_answer, read_next, read_to_the_end


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, with limits small enough for a test."""
    with serving(
        tmp_path_factory.mktemp("sockets"),
        keepalive_requests=50,
        max_body_bytes=1 << 20,
        access_log="all",
    ) as running:
        yield running


def private_megabytes(pid: int) -> float:
    """What a process has written to: pages that its parent shares are not counted."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kilobytes] = re.findall(r"^Private_Dirty: +(\d+) kB", rollup, re.MULTILINE)
    return int(kilobytes) / 1024


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


def test_a_broken_request_is_refused_after_the_answers_before_it(wire: socket.socket) -> None:
    wire.sendall(REQUEST + REQUEST + b"this is no request\r\n\r\n")
    stream = wire.makefile("rb")
    assert [read_next(stream)[0] for _ in range(3)] == [200, 200, 400]
    assert stream.read() == b""


def test_a_broken_body_is_refused_after_the_answers_before_it(wire: socket.socket) -> None:
    chunked = b"POST /predict HTTP/1.1\r\nHost: gp\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    wire.sendall(REQUEST + chunked)
    stream = wire.makefile("rb")
    assert [read_next(stream)[0] for _ in range(2)] == [200, 400]
    assert stream.read() == b""


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


@pytest.mark.parametrize(
    ("path", "kind", "length"),
    [
        ("/predict", "text/csv", 3 << 30),
        ("/predict", "application/json", 3 << 30),
        ("/predict", "multipart/form-data; boundary=x", 3 << 30),
        ("/v2/models/quakes/infer", "application/json", 3 << 30),
        ("/v2/models/quakes/infer", "application/octet-stream", 3 << 30),
        ("/Evaluate", "application/json", 3 << 30),
    ],
)
def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(
    wire: socket.socket, path: str, kind: str, length: int
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: gp\r\nContent-Type: {kind}\r\n"
    wire.sendall(f"{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert read_answer(wire)[0] == 413


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/predict", "text/csv"),
        ("/predict", "image/png"),
        ("/predict?on_bad_row=x", "text/csv"),
        ("/models", "application/octet-stream"),
        ("/v2/models/quakes/infer", "application/json"),
        ("/nowhere", "text/csv"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_reads_after_it_has_sent_all_gets_its_refusal(
    wire: socket.socket, path: str, kind: str, *, chunked: bool
) -> None:
    size = 20 << 20  # more than the system keeps of what the server does not read
    head = f"POST {path} HTTP/1.1\r\nHost: gp\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    if chunked:
        head += f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n"
        wire.sendall(head.encode() + b"1" * size + b"\r\n0\r\n\r\n")
    else:
        wire.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + b"1" * size)
    answer = read_to_the_end(wire)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer[:300]
    assert b"\r\nconnection: close\r\n" in answer


def test_invalid_http_gets_a_problem_document(wire: socket.socket) -> None:
    wire.sendall("GET /prédict HTTP/1.1\r\nHost: gp\r\n\r\n".encode())
    head, _, body = read_to_the_end(wire).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["detail"] == "this is not a valid HTTP request"


def test_length_and_chunks_together_are_refused(wire: socket.socket) -> None:
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", ["Content-Length", "Inference-Header-Content-Length"])
@pytest.mark.parametrize("digit", [b"0", b"1"])
def test_a_length_of_thousands_of_digits_is_refused(
    wire: socket.socket, name: str, digit: bytes
) -> None:
    """Python does not convert so many digits, which must not leave a request without an answer."""
    head = b"POST /v2/models/quakes/infer HTTP/1.1\r\nHost: gp\r\nConnection: close\r\n"
    length = b"" if name == "Content-Length" else b"Content-Length: 2\r\n"
    wire.sendall(head + length + name.encode() + b": " + digit * 5000 + b"\r\n\r\n{}")
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n"])
def test_a_request_has_one_host(wire: socket.socket, hosts: bytes) -> None:
    wire.sendall(b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")


def test_not_http(server: Server, wire: socket.socket) -> None:
    before = unreadable(server)
    wire.sendall(b"\x16\x03\x01\x02\x00hello\r\n\r\n")
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 400 ")
    assert unreadable(server) == before + 1


def unreadable(server: Server) -> float:
    text = plainhttp.get(f"{server.url}/metrics").text
    found = re.search(r'^http_unreadable_requests_total{code="400"} (.*)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_long_connection_is_closed(wire: socket.socket) -> None:
    for i in range(50):
        wire.sendall(REQUEST)
        _, headers, _ = read_answer(wire)
        assert ("connection" in headers) == (i == 49)
    assert wire.recv(1) == b""


def test_too_large_header(wire: socket.socket) -> None:
    head, _, _ = REQUEST.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\nX-Large: " + b"x" * 60_000)
    assert read_to_the_end(wire).startswith(b"HTTP/1.1 431 ")


HEAD, _, _ = REQUEST.partition(b"\r\n\r\n")
CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
)
REFUSED_HEADS = {
    "a field that ends": (HEAD + b"\r\nX-Large: " + b"x" * 60_000 + b"\r\n\r\n", 431),
    "many fields": (HEAD + b"\r\na: b" * 20_000 + b"\r\n\r\n", 431),
    "an address": (b"GET /predict?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: gp\r\n\r\n", 414),
    "an address of 5 MB": (b"GET /" + b"x" * 5_000_000 + b" HTTP/1.1\r\nHost: gp\r\n\r\n", 414),
    "many trailers": (CHUNKED + b"a: b\r\n" * 20_000 + b"\r\n", 431),
    "a trailer without end": (CHUNKED + b"a: " + b"b" * 900_000, 431),
    "a coding of the transfer": (CHUNKED.replace(b"chunked", b"gzip, chunked"), 501),
    "an old protocol": (b"GET /predict\r\n\r\n", 505),
    "a later protocol": (b"GET /predict HTTP/1.9\r\nHost: gp\r\n\r\n", 400),
}


@pytest.mark.parametrize("what", REFUSED_HEADS)
def test_heads_that_are_refused(wire: socket.socket, what: str) -> None:
    """All of it is read before the connection closes, so that the client gets the answer."""
    sent, status = REFUSED_HEADS[what]
    wire.sendall(sent)
    answer = read_to_the_end(wire)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b'"detail"' in answer


def test_trailers_are_read_past(wire: socket.socket) -> None:
    """They are no headers: a trailer cannot change what was asked."""
    body = b"%x\r\n%s\r\n0\r\nX-Request-Id: late\r\n\r\n" % (len(BODY), BODY)
    for _ in range(2):
        wire.sendall(CHUNKED.partition(b"2\r\n")[0] + body)
        status, headers, _ = read_answer(wire)
        assert status == 200
        assert headers["x-request-id"] != "late"


def test_trailers_without_end_take_no_memory(server: Server, wire: socket.socket) -> None:
    """One connection was enough to fill a pod's memory."""
    wire.sendall(CHUNKED)
    with suppress(OSError):
        for _ in range(400):
            wire.sendall(b"a:b\r\n" * 20_000)
    [worker] = server.workers
    assert private_megabytes(worker) < 200


def test_too_large_body(server: Server) -> None:
    answer = plainhttp.post(
        f"{server.url}/predict",
        content=b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 100_000,
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 413
    assert answer.json()["limit"] == 1 << 20


def test_first_bytes_come_before_the_last_row_is_sent(wire: socket.socket) -> None:
    wire.sendall(
        b"POST /predict?on_bad_row=nan HTTP/1.1\r\nHost: gp\r\nContent-Type: text/csv\r\n"
        b"Accept: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * 20_000
    wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    assert wire.recv(100, socket.MSG_PEEK).startswith(b"HTTP/1.1 200 ")
    wire.sendall(b"f\r\n-20,181,500,40\n\r\n0\r\n\r\n")
    _, _, answer = read_answer(wire)
    assert answer.count(b"\n-20,181,500,40,") == 20_001


def test_json_logs_have_the_request_id(server: Server, X: FloatArray) -> None:
    body = {"points": X[0].tolist()}
    plainhttp.post(f"{server.url}/predict", json=body, headers={"X-Request-Id": "look-for-me"})
    until(lambda: "look-for-me" in server.log.read_text())
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "look-for-me"]
    assert line["status"] == 200
    assert line["path"] == "/predict"
    assert line["level"] == "INFO"
