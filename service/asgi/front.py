"""The front: small requests answered on the event loop, the rest handed to Flask on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from a2wsgi import WSGIMiddleware

from service.asgi.direct import LoadShedder, Small, SmallRequests
from service.asgi.exchange import (
    DirectRequest,
    Receive,
    Scope,
    Send,
    replayed,
    send_response,
    whole_body,
)
from service.asgi.fastroutes import FastRoutes
from service.asgi.transport import Response
from service.runtime import probes
from service.runtime.logs import RequestLog
from service.runtime.metrics import METRICS_TYPE, LoopCounts
from service.runtime.pool import yield_priority
from service.runtime.runtime import Runtime
from service.services.body import length_in
from service.services.errors import busy
from service.services.parsing import LARGE, give_back_pieces
from service.web.hooks import method_not_allowed

WSGI = Callable[[Any, Any], Iterable[bytes]]

_PIECE = 1 << 15


class Front:
    """The ASGI application in front of Flask's WSGI application.

    Attributes
    ----------
    routes, small, shedder : for the connections, which ask them before they call the front
    """

    def __init__(self, runtime: Runtime, flask: WSGI) -> None:
        self.runtime, settings = runtime, runtime.settings
        counts = LoopCounts(runtime.metrics)
        self._log = RequestLog(counts.begin, counts.end, settings.access_log)
        self.routes = FastRoutes(runtime)
        self.shedder = LoadShedder(self.routes, self._log)
        self.small = SmallRequests(runtime, self._log)
        self._flask = WSGIMiddleware(_for_the_front(flask))
        self._flask.executor = ThreadPoolExecutor(
            settings.threads, "flask", initializer=yield_priority
        )
        self._places = settings.threads + settings.max_waiting_uploads
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the server's start and stop."""
        if scope["type"] != "http":
            await self._start_and_stop(receive, send)
        elif (head := self.routes.head(scope)) and (small := self.small.admit(head)):
            await self._answer(small, scope, receive, send)
        elif scope["path"] == "/metrics" or scope["path"] in probes.PROBES:
            await self._probe(scope, receive, send)
        else:
            await self.hand_over(scope, receive, send)

    async def _start_and_stop(self, receive: Receive, send: Send) -> None:
        await receive()
        self.runtime.batcher.attach(asyncio.get_running_loop())
        self.runtime.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, small: Small, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

        def reply(response: Response | None) -> None:
            if not answered.done():  # else the server has stopped the task
                answered.set_result(response)

        self.small.answer(small, body, reply)
        response = await answered
        if response is None:
            await self.hand_over(scope, replayed(body, receive), send)
        else:
            await send_response(response, scope, receive, send)
            small.request.finish(response[0])

    async def _probe(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = DirectRequest(self._log, scope, dict(scope["headers"]), scope["path"])
        if request.method not in ("GET", "HEAD"):
            response = request.refusal(method_not_allowed(request.method, ("GET", "HEAD")))
        elif request.path == "/metrics":
            response = request.response(self.runtime.metrics.exposition(), media_type=METRICS_TYPE)
        else:
            status, document = probes.PROBES[request.path](self.runtime)
            response = request.response(msgspec.json.encode(document), status=status)
        await send_response(response, scope, receive, send)
        request.finish(response[0])

    async def hand_over(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Flask answer on a thread; refuse at once when too many requests wait for one."""
        if self._taken >= self._places:
            template = self.routes.template(scope["path"])
            request = DirectRequest(self._log, scope, dict(scope["headers"]), template)
            detail = f"{self._taken} large requests are already running or waiting"
            response = request.refusal(busy(detail, self.runtime.backlog_seconds()))
            await send_response(response, scope, receive, send)
            request.finish(response[0])
            return
        self._taken += 1
        try:
            await self._flask(scope, receive, send)  # type: ignore[arg-type]
        finally:
            self._taken -= 1
            if _has_large_body(dict(scope["headers"])):
                self._flask.executor.submit(give_back_pieces)


def _has_large_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is so long that what was read of it filled much memory."""
    length = length_in(headers.get(b"content-length", b""))
    return b"transfer-encoding" in headers if length is None else length >= LARGE


def _for_the_front(flask: WSGI) -> WSGI:
    """Read bodies without a length to their end, as the server does, and join small pieces."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True  # for Werkzeug: the server decodes the chunks
        return _joined(flask(environ, start_response))

    return application


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join the pieces of an answer: each that is sent costs two turns between threads."""
    held, size = list[bytes](), 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)
    finally:
        if close := getattr(pieces, "close", None):
            close()
