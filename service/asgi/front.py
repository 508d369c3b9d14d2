"""The front: small requests answered on the event loop, the rest handed to Flask on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from a2wsgi import WSGIMiddleware
from uvicorn.protocols.http.flow_control import FlowControl

from service.asgi.exchange import (
    DirectRequest,
    Receive,
    Scope,
    Send,
    replayed,
    send_response,
    whole_body,
)
from service.asgi.fastroutes import FastRoute, FastRoutes
from service.asgi.transport import Response
from service.runtime import probes
from service.runtime.logs import RequestLog, log_unexpected
from service.runtime.metrics import METRICS_TYPE, LoopCounts
from service.runtime.pool import yield_priority
from service.runtime.runtime import Runtime
from service.services.errors import Problem, busy
from service.services.parsing import LARGE, give_back_pieces
from service.web.hooks import method_not_allowed

WSGI = Callable[[Any, Any], Iterable[bytes]]

_PIECE = 1 << 15
_KEPT_SECONDS = 0.005
_OTHER_SECONDS = 0.02
_LONGEST_SECONDS = 2.0
"""How long a refused connection rests for each one that rests: then refusals of kept connections,
and those of others, which cost four times as much, take a tenth of a processor."""


class LoadShedder:
    """Refuses small requests while too much work waits, without their body and without a task.

    A refused connection rests before its next request is read; where it is not kept, it rests
    before it is refused. The more of them rest, the longer. Clients that send again at once would
    otherwise take the time that is there for predictions and for new connections.
    """

    def __init__(self, runtime: Runtime, routes: FastRoutes, log: RequestLog) -> None:
        self._backlog = runtime.batcher.backlog
        self._routes = routes
        self._log = log
        self._resting = 0

    def refusal(self, scope: Scope) -> Response | None:
        """Return the refusal of a small request, counted and logged, or None: answer it."""
        route = self._routes.of(scope["path"])
        if route is None:
            return None
        try:
            self._backlog.refuse_if_full()
        except Problem as problem:
            headers = dict(scope["headers"])
            if not route.accepts(scope, headers):
                return None
            template = self._routes.template(scope["path"])
            request = DirectRequest(self._log, scope, headers, template)
            request.finish(problem.status)
            return request.refusal(problem)
        return None

    def rest(self, flow: FlowControl) -> None:
        """Read nothing from a refused connection for a while."""
        flow.pause_reading()
        asyncio.get_running_loop().call_later(self._begin_rest(_KEPT_SECONDS), self._wake, flow)

    def _wake(self, flow: FlowControl) -> None:
        self._resting -= 1
        flow.resume_reading()

    async def send_later(
        self, response: Response, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send a refusal after a while, as an ASGI application does."""
        await asyncio.sleep(self._begin_rest(_OTHER_SECONDS))
        self._resting -= 1
        await send_response(response, scope, receive, send)

    def _begin_rest(self, each: float) -> float:
        """Count a connection that rests; return for how many seconds."""
        self._resting += 1
        return min(self._resting * each, _LONGEST_SECONDS)


class Front:
    """The ASGI application in front of Flask's WSGI application.

    Attributes
    ----------
    shedder : for the connections, which ask it before they call the front
    """

    def __init__(self, runtime: Runtime, flask: WSGI) -> None:
        self.runtime, settings = runtime, runtime.settings
        counts = LoopCounts(runtime.metrics)
        self._log = RequestLog(counts.begin, counts.end, settings.access_log)
        self._routes = FastRoutes(runtime)
        self.shedder = LoadShedder(runtime, self._routes, self._log)
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
        elif (route := self._routes.of(scope["path"])) is not None:
            await self._answer(route, scope, receive, send)
        elif scope["path"] == "/metrics" or scope["path"] in probes.PROBES:
            await self._probe(scope, receive, send)
        else:
            await self._hand_over(scope, receive, send)

    async def _start_and_stop(self, receive: Receive, send: Send) -> None:
        await receive()
        self.runtime.batcher.attach(asyncio.get_running_loop())
        self.runtime.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, route: FastRoute, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        keys, authorization = self.runtime.keys, headers.get(b"authorization")
        caller = keys.remembered(authorization) if authorization else keys.anonymous
        if (
            not route.accepts(scope, headers)
            or len(headers) != len(scope["headers"])  # Flask combines a repeated header
            or caller is None
            or route.role not in caller.roles
        ):
            await self._hand_over(scope, receive, send)
            return
        request = DirectRequest(self._log, scope, headers, self._routes.template(scope["path"]))
        request.caller = "" if caller is keys.anonymous else caller.owner
        response: Response | None
        body = await whole_body(receive)
        try:
            # Asked again: requests that arrived together passed the shedder while it was empty.
            self.runtime.batcher.backlog.refuse_if_full()
            response = await route.answer(request, body)
        except Problem as problem:
            response = request.refusal(problem)
        except Exception:
            response = request.refusal(log_unexpected(request.id))
        if response is None:
            await self._hand_over(scope, replayed(body, receive), send)
        else:
            await send_response(response, scope, receive, send)
            request.finish(response[0])

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

    async def _hand_over(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Flask answer on a thread; refuse at once when too many requests wait for one."""
        if self._taken >= self._places:
            template = self._routes.template(scope["path"])
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
    length = headers.get(b"content-length", b"")
    size = int(length) if length.isdigit() else LARGE * (b"transfer-encoding" in headers)
    return size >= LARGE


def _for_the_front(flask: WSGI) -> WSGI:
    """Read bodies without a length to their end, as the server does, and join small pieces."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True  # for Werkzeug: the server decodes the chunks
        return _joined(flask(environ, start_response))

    return application


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join the pieces of an answer: each that is sent costs two turns between threads."""
    held = bytearray()
    try:
        for piece in pieces:
            held += piece
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)
    finally:
        if close := getattr(pieces, "close", None):
            close()
