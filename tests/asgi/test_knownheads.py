"""A head that was parsed twice needs no parser, and everything else goes on needing it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.app import create_app
from service.asgi.connection import Connection
from service.asgi.front import Front
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.fuzz.models import numbers
from tests.helpers.serving import Server, serving
from tests.helpers.wire import BODY, REQUEST, RecordingTransport, read_answer, read_next

HEAD = REQUEST.removesuffix(BODY)
KEY = b"Authorization: Bearer secret\r\n"


class Parser:
    """The parser of a connection, which counts what it is given."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self.fed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> None:
        self.fed += 1
        self._parser.feed_data(data)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    model = tmp_path_factory.mktemp("heads") / "model.npz"
    numbers().save(model)
    return Runtime(Settings.from_environ({"GPSERVE_MODEL": str(model), "GPSERVE_TOKEN": "secret"}))


def parsed(runtime: Runtime, *requests: bytes) -> list[int]:
    """Send each request on its own, wait for its answer; how often the parser has been used."""

    async def run() -> list[int]:
        loop = asyncio.get_running_loop()
        front = Front(runtime, create_app(runtime).wsgi_app)
        runtime.batcher.attach(loop)
        config = Config(front, interface="asgi3", loop="none", ws="none", log_config=None)
        config.load()
        counts = []
        for data in requests:
            wire = RecordingTransport()
            protocol = Connection(runtime, front, config, ServerState(), {}, loop)
            parser: Any = Parser(protocol.parser)
            protocol.parser = parser
            protocol.connection_made(cast(asyncio.Transport, wire))
            protocol.data_received(data)
            while not protocol.cycle.response_complete or not wire.written:
                await asyncio.sleep(0)
            assert b"HTTP/1.1 200 OK\r\n" in wire.written
            counts.append(parser.fed)
        return counts

    return asyncio.run(run())


def with_lines(*lines: bytes) -> bytes:
    return HEAD.removesuffix(b"\r\n") + b"".join(lines) + b"\r\n" + BODY


def test_the_third_request_needs_no_parser(runtime: Runtime) -> None:
    other = BODY.replace(b"500", b"600")
    assert parsed(runtime, REQUEST, HEAD + other, REQUEST, HEAD + other) == [1, 1, 0, 0]


CALL = b'{"name":"quakes","input":[[-20,181,500,30]]}'
EVALUATE = b"POST /Evaluate HTTP/1.1\r\nHost: gp\r\nContent-Length: %d\r\n\r\n" % len(CALL) + CALL


def with_id(value: bytes) -> bytes:
    return with_lines(b"X-Request-ID: " + value + b"\r\n")


def test_another_id_does_not_matter(runtime: Runtime) -> None:
    ids = [b"a", b"b-2", b"c" * 128, b"d,e"]
    assert parsed(runtime, *map(with_id, ids)) == [1, 1, 0, 0]


def test_so_do_the_other_routes(runtime: Runtime) -> None:
    assert parsed(runtime, *[EVALUATE, REQUEST] * 3) == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    "request_",
    [
        with_lines(KEY),
        with_lines(b"X-Request-ID: a\r\nX-Request-ID: b\r\n"),
        with_lines(b"Connection: close\r\n"),
        with_lines(b"Expect: 100-continue\r\n"),
        with_lines(b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"),
        with_lines(b"X-Long: " + b"x" * 2000 + b"\r\n"),
        with_lines(b"Accept: text/csv\r\n"),
        REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        REQUEST.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
        REQUEST * 2,
        REQUEST + b"\r\n",
        b"GET /predict?lat=1&long=2&depth=3&stations=4 HTTP/1.1\r\nHost: gp\r\n\r\n",
        HEAD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    ],
    ids=lambda request: request[:60].decode() + "…" + request[-40:].decode(),
)
def test_what_is_not_known(runtime: Runtime, request_: bytes) -> None:
    assert all(parsed(runtime, *[request_] * 4))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("known"), keepalive_requests=8, access_log="all") as run:
        yield run


def test_ids_and_the_last_request_of_a_connection(server: Server) -> None:
    for _ in range(3):
        with server.connect() as wire:
            answers = []
            for _ in range(8):
                wire.sendall(REQUEST)
                answers.append(read_answer(wire))
            assert wire.recv(1) == b""
        assert len({headers["x-request-id"] for _, headers, _ in answers}) == 8
        assert len({(status, body) for status, _, body in answers}) == 1
        closing = [headers.get("connection") for _, headers, _ in answers]
        assert closing == [None] * 7 + ["close"]


def test_each_answer_has_the_id_of_its_request(wire: socket.socket) -> None:
    option = BODY[:-1] + b', "gradient": true}'
    for body in (BODY, option):
        for number in range(4):
            request = with_id(b"id-%d" % number).replace(BODY, body)
            length, longer = (b"Content-Length: %d\r\n" % len(text) for text in (BODY, body))
            wire.sendall(request.replace(length, longer))
            status, headers, answer = read_answer(wire)
            assert (status, headers["x-request-id"]) == (200, f"id-{number}")
            assert (b"gradient" in answer) == (body is option)


@pytest.mark.parametrize("no_id", [b"", b" ", b"a b"])
def test_no_request_gets_the_id_of_another(server: Server, no_id: bytes) -> None:
    with server.connect() as wire:
        found = []
        for value in (b"one", b"two", b"three", no_id, no_id, no_id):
            wire.sendall(with_id(value))
            found.append(read_answer(wire)[1]["x-request-id"])
        assert found[:3] == ["one", "two", "three"]
        assert len(set(found)) == 6


def test_a_known_head_with_another_body(wire: socket.socket) -> None:
    stream = wire.makefile("rb")
    for _ in range(2):
        wire.sendall(REQUEST)
        status, _, answer = read_next(stream)
    for length in (0, 7, len(BODY)):  # of the body that comes with the head
        wire.sendall(REQUEST[: len(HEAD) + length])
        wire.sendall(REQUEST[len(HEAD) + length :])
        assert read_next(stream)[::2] == (status, answer)
    wire.sendall(HEAD + b"{" + b" " * (len(BODY) - 1))
    assert read_next(stream)[0] == 400


def test_options_and_pipelined_requests_with_known_heads(wire: socket.socket) -> None:
    """What Flask answers, and two that arrive together, keep their order."""
    plain = HEAD + BODY
    option = BODY[:-1].replace(b" ", b"") + b',"interval":0.9}'
    asked = HEAD.replace(b"%d" % len(BODY), b"%d" % len(option)) + option
    stream = wire.makefile("rb")
    answers = set()
    for _ in range(3):
        wire.sendall(asked)
        answers.add(read_next(stream)[::2])
    [(status, answer)] = answers
    assert status == 200
    assert b'"lower"' in answer
    wire.sendall(asked + plain)
    assert [b'"lower"' in read_next(stream)[2] for _ in range(2)] == [True, False]


def test_a_caller_who_may_not_predict(tmp_path: Path) -> None:
    with serving(tmp_path, anonymous="read", token="secret") as server, server.connect() as wire:
        allowed = with_lines(KEY)
        for request, status in [*[(REQUEST, 401)] * 3, (allowed, 200), (REQUEST, 401)]:
            wire.sendall(request)
            assert read_answer(wire)[0] == status
