"""Raw bytes on a connection: the protocol, the front and Flask behind it, without a socket."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from service.app import create_app
from service.asgi.connection import Connection
from service.asgi.fastroutes import Start
from service.asgi.front import Front
from tests.fuzz.answers import variant
from tests.fuzz.application import KEY, check_answer, runtime
from tests.fuzz.running import Reader, Wrong

_BODY = b'{"lat":-20,"long":181.5,"depth":500,"stations":30}'
_TABLE = b"lat,long,depth,stations\n-20,181,500,30\n"
_CALL = b'{"name":"quakes","input":[[-20,181,500,30]]}'


def _post(path: bytes, body: bytes, *lines: bytes) -> bytes:
    head = [b"POST %s HTTP/1.1" % path, b"Host: gp", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _chunked(body: bytes, *trailers: bytes) -> bytes:
    pieces = [body[:7], body[7:]]
    text = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return text + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


_CHUNKS = b"POST /predict HTTP/1.1\r\nHost: gp\r\nTransfer-Encoding: chunked\r\n"
_GET = b"GET /predict?lat=-20&long=181&depth=500&stations=30 HTTP/1.1\r\nHost: gp\r\n\r\n"
_SEEDS = (
    _post(b"/predict", _BODY),
    _post(b"/predict", _BODY, b"Content-Type: application/json") + _GET + _post(b"/Evaluate", _CALL),
    _CHUNKS + b"\r\n" + _chunked(_BODY),
    _CHUNKS + b"Trailer: a\r\nContent-Type: text/csv\r\n\r\n" + _chunked(_TABLE, b"a: b", b"c: d"),
    _post(b"/predict", _TABLE, b"Content-Type: text/csv", b"Accept: text/csv"),
    _post(b"/predict", _BODY, b"Expect: 100-continue"),
    _post(b"/predict", _BODY, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__") + _GET,
    _GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    _GET.replace(b"/predict", b"http://gp/predict") + b"HEAD /predict HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: gp\r\nConnection: close\r\n\r\n" + _GET,
    b"OPTIONS * HTTP/1.1\r\nHost: gp\r\n\r\n",
    b"CONNECT gp:443 HTTP/1.1\r\nHost: gp:443\r\n\r\n",
    b"GET /model HTTP/1.1\r\nHost: gp\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n",
    _post(b"/v2/models/quakes/infer", b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,4],"data":[1,2,3,4]}]}'),
    _post(b"/models", b"PK\x03\x04", b"Authorization: Bearer secret"),
    b"DELETE /jobs/1 HTTP/1.1\r\nHost: gp\r\n\r\nPUT /predict HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /predict\r\n",
)  # fmt: skip
_WORDS = (
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"\r\n\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Inference-Header-Content-Length: %s\r\n" % (b"1" * 5000), b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Host: \xff\r\n", b"Content-Type: text/csv\r\n", b"ffffffffffffffff\r\n",
    b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b" HTTP/1.1\r\n", b"GET ", b"HEAD ", b"TRACE ", b"PURGE ", b"http://a:b@gp:80/", b"//",
    b"/predict", b"/Evaluate", b"/metrics", b"/openapi.json", b"/model.npz", b"?", b"#", b"%zz", b"%00", b"5;ext=\"a\"\r\n", b"0\r\n\r\n", b"0\r\na: b\r\n\r\n",
    b"a: b\r\n", b" folded\r\n", b"a : b\r\n", b"Range: bytes=0-3\r\n", b"Accept: text/csv\r\n", b"Content-Encoding: gzip\r\n", b"Authorization: Basic Og==\r\n",
    b"X-Request-Id: \x01\r\n", b"Prefer: respond-async\r\n", b"If-Match: *\r\n", b"\x00", b"\r", b"\n",
)  # fmt: skip


def connections() -> Reader:
    """Everything that a client sends on one connection."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return Reader(_Server().read, _SEEDS, _WORDS, _requests)


class _Transport(asyncio.Transport):
    """A client that takes what is written, and that may stop reading for a while."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slow: bool) -> None:
        super().__init__()
        self.loop = loop
        self.slow = slow
        self.written = bytearray()
        self.ended = self.paused = self.left = False
        self.protocol: Connection
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        if self.ended:
            raise Wrong("something is written after the end")
        if self._closing:
            return
        self.written += data
        if self.slow:
            self.slow = False
            self.protocol.pause_writing()
            self.loop.call_later(0.0005, self.protocol.resume_writing)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    abort = close


class _Recorded(Connection):
    """A connection that keeps the method of each request that it starts."""

    def __init__(self, methods: list[str], *args: Any) -> None:
        super().__init__(*args)
        self._methods = methods

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._methods.append(cycle.scope["method"])
        super()._start_asgi_task(cycle, app)

    def _start_known(self, start: Start, data: bytes) -> bool:
        started = super()._start_known(start, data)
        if started:
            self._methods.append("POST")
        return started

    @property
    def answering(self) -> bool:
        """Whether a request is complete and not answered yet."""
        return bool(self.cycle and not self.cycle.response_complete and not self.in_body)


class _Server:
    """Serves one connection after the other on a loop of its own."""

    def __init__(self) -> None:
        self._runtime = runtime()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._problems: list[str] = []
        self._errors: list[BaseException | None] = []
        self._methods: list[str] = []
        self._front = Front(self._runtime, create_app(self._runtime).wsgi_app)
        self._runtime.batcher.attach(self._loop)
        asyncio.set_event_loop(self._loop)
        self._config = Config(
            self._front, interface="asgi3", loop="none", ws="none", lifespan="off", log_config=None,
            access_log=False, proxy_headers=False, server_header=False, date_header=False,
        )  # fmt: skip
        self._config.load()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problems.append(context["message"])
        self._errors.append(context.get("exception"))

    def read(self, data: bytes) -> str:
        """Send the bytes in pieces, and check what comes back."""
        self._methods.clear()
        transport = self._loop.run_until_complete(self._serve(data, variant(data)))
        if self._problems:
            said, error = self._problems[0], self._errors[0]
            self._problems.clear()
            self._errors.clear()
            raise Wrong(f"on the event loop: {said}") from error
        return self._checked(bytes(transport.written), transport)

    async def _serve(self, data: bytes, number: int) -> _Transport:
        state, loop = ServerState(), self._loop
        transport = _Transport(loop, number % 5 == 1)
        protocol = _Recorded(
            self._methods, self._runtime, self._front, self._config, state, {}, loop
        )
        transport.protocol = protocol
        protocol.connection_made(transport)
        for piece in _pieces(data, number):
            await _unless(transport)
            if transport.is_closing():
                break
            protocol.data_received(piece)
            await asyncio.sleep(0)
        if number % 3 == 0 and protocol.in_body:
            transport.left = True
            transport.close()
        await self._finish(protocol, state)
        return transport

    async def _finish(self, protocol: _Recorded, state: ServerState) -> None:
        """Wait for the answers; then let the time pass that the client has for what is missing."""
        for _ in range(6):
            waiting = protocol.in_body and protocol.cycle and not protocol.cycle.response_complete
            if state.tasks and not waiting:
                _, left = await asyncio.wait(state.tasks, timeout=10)
                if left:
                    raise Wrong("a request is not answered within 10 s")
            for _ in range(3):
                await asyncio.sleep(0)
            if not state.tasks or waiting:
                protocol.end_if_stalled(time.monotonic() + 1e6)
                await asyncio.sleep(0)
        if protocol.answering and not protocol.transport.is_closing():
            raise Wrong("a request is not answered")
        protocol.transport.close()
        if state.tasks:
            _, left = await asyncio.wait(state.tasks, timeout=10)
            if left:
                raise Wrong("a request goes on after its client has left")
        await asyncio.sleep(0)

    def _checked(self, written: bytes, transport: _Transport) -> str:
        methods = deque(self._methods)
        kinds = [f"{len(methods)} requests"]
        while written:
            method = methods.popleft() if methods else ""
            status, headers, body, written = _response(written, method)
            if not written and transport.left:  # with a part of it
                break
            kinds.append(check_answer(status, headers, body))
        return ", ".join(kinds[:3])


async def _unless(transport: _Transport) -> None:
    """Wait while the server does not read."""
    for _ in range(2000):
        if not transport.paused or transport.is_closing():
            return
        await asyncio.sleep(0.0005)


def _pieces(data: bytes, number: int) -> Iterator[bytes]:
    """Cut what is sent as a network does: not at all, or anywhere."""
    random = Random(number)
    count = random.choice((0, 0, 0, 1, 2, 6))
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(count))
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if start < stop:
            yield data[start:stop]


_HEAD = re.compile(
    rb"HTTP/1\.[01] (\d\d\d) [^\r\n]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\x00]*\r\n)*)\r\n"
)


def _response(data: bytes, method: str) -> tuple[int, dict[str, str], bytes, bytes]:
    """Return status, headers and body of the first response, and what follows it."""
    head = _HEAD.match(data)
    if head is None:
        raise Wrong(f"not a response: {data[:200]!r}")
    status, rest = int(head[1]), data[head.end() :]
    if status == 100:
        return _response(rest, method) if rest else (100, {}, b"", b"")
    lines = head[2].decode("latin-1").split("\r\n")[:-1]
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if method == "HEAD" or status in (204, 304):
        return status, headers, b"", rest
    if headers.get("transfer-encoding") == "chunked":
        body, rest = _dechunked(rest)
    elif "content-length" in headers:
        size = int(headers["content-length"])
        body, rest = rest[:size], rest[size:]
    else:
        body, rest = rest, b""
    if "close" in headers.get("connection", "") and rest:
        raise Wrong(f"something follows the last response: {rest[:200]!r}")
    return status, headers, body, rest


def _dechunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while data:
        line, _, rest = data.partition(b"\r\n")
        size = int(line, 16)
        body, data = body + rest[:size], rest[size + 2 :]
        if not size:
            break
    return body, data


def _requests(random: Random) -> bytes:
    """One to four requests with heads and bodies of parts that may not fit each other."""
    made = b""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        made += _request(random)
    return made


_LINES = tuple(
    word for word in _WORDS if word.endswith(b"\r\n") and b": " in word and word[:1] != b"0"
)
_PATHS = (b"/predict", b"/predict", b"/Evaluate", b"/", b"/model", b"/healthz", b"/v2/models/quakes/infer", b"/train", b"/jobs", b"/%C3%A9", b"/predict?lat=1&long=2&depth=3&stations=4", b"/models/x/activate", b"*", b"http://gp/predict", b"//predict", b"/model/diagnostics", b"/\xe9?\xe9=\xff", b"/openapi.json", b"/nope")  # fmt: skip


def _request(random: Random) -> bytes:
    method = random.choice((b"GET", b"POST", b"POST", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"CONNECT", b"get"))  # fmt: skip
    version = random.choice((b"1.1",) * 8 + (b"1.0", b"1.0", b"0.9", b"2.0"))
    body = random.choice((b"", _BODY, _TABLE, _CALL, b"x" * random.randrange(9000)))
    head = b"%s %s HTTP/%s\r\nHost: gp\r\n" % (method, random.choice(_PATHS), version)
    for _ in range(random.choice((0, 0, 1, 2, 5))):
        head += random.choice(_LINES)
    if random.random() < 0.1:
        head += b"A: %s\r\n" % (b"a" * random.randrange(4000))
    chance = random.random()
    if chance < 0.4:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if chance < 0.7:
        trailers = [b"a: " + b"b" * random.randrange(3000)] * random.choice((0, 0, 1, 3))
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body, *trailers)
    if chance < 0.8:
        size = max(0, len(body) + random.randrange(-9, 9))
        return head + b"Content-Length: %d\r\n\r\n" % size + body
    return head + b"\r\n" + body * random.randrange(2)
