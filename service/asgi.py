"""The front: small requests answered on the event loop, the rest handed to Flask on threads.

A point in JSON costs Flask 300 microseconds of routing and objects, and the front 20. Both call
the same functions to read points, predict and write answers, so each rule exists once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from a2wsgi import WSGIMiddleware
from flask import Flask

from service import probes
from service.batching import Share
from service.conditions import refuse_other_version
from service.model import Model
from service.protocols import umbridgecalls
from service.protocols.errorforms import error_form
from service.requests import log_request, request_id, wants_log
from service.runtime import Runtime
from service.services import answers, points
from service.services.negotiation import JSON_ACCEPTS
from service.services.problems import Problem, busy
from service.tilepool import yield_priority

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = Callable[["Exchange", bytes], Awaitable[bool]]
"""Answers a body, or says that the request asks for more than the event loop should do."""

SMALL_BODY = 16 << 10
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})

log = logging.getLogger(__name__)


class Front:
    """The ASGI application in front of a Flask application."""

    def __init__(self, flask: Flask) -> None:
        self.runtime = cast(Runtime, flask.extensions["gpserve"])
        settings = self.runtime.settings
        self._access_log = settings.access_log
        self._flask = WSGIMiddleware(_with_chunked_bodies(flask))
        self._flask.executor = ThreadPoolExecutor(
            settings.threads, "flask", initializer=yield_priority
        )
        self._places = settings.threads + settings.max_waiting_uploads
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the server's start and stop."""
        if scope["type"] != "http":
            await self._start_and_stop(receive, send)
        elif scope["path"] == "/predict":
            await self._predict(scope, receive, send)
        elif scope["path"] == "/Evaluate":
            await self._evaluate(scope, receive, send)
        elif scope["path"] == "/metrics" or scope["path"] in probes.PROBES:
            await self._probe(scope, send)
        else:
            await self._hand_over(scope, receive, send)

    async def _start_and_stop(self, receive: Receive, send: Send) -> None:
        await receive()
        self.runtime.batcher.attach(asyncio.get_running_loop())
        self.runtime.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if not _is_small(scope, headers):
            await self._hand_over(scope, receive, send)
            return
        exchange = Exchange(self.runtime, scope, send, headers)
        await self._answer_or_hand_over(self._answer, exchange, scope, receive)

    async def _evaluate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """UM-Bridge's `Evaluate`, which is as common as a prediction where it is spoken."""
        headers = dict(scope["headers"])
        if not _is_small_call(scope, headers):
            await self._hand_over(scope, receive, send)
            return
        exchange = Exchange(self.runtime, scope, send, headers)
        await self._answer_or_hand_over(self._answer_call, exchange, scope, receive)

    async def _answer_or_hand_over(
        self, answer: Answer, exchange: Exchange, scope: Scope, receive: Receive
    ) -> None:
        try:
            self.runtime.batcher.backlog.refuse_if_full()
            body = await _body(receive)
            if not await answer(exchange, body):
                exchange.abandon()
                await self._hand_over(scope, _replayed(body, receive), exchange.raw_send)
        except Problem as problem:
            await exchange.refuse(problem)
        except Exception:
            log.exception("unexpected error", extra={"request_id": exchange.id})
            await exchange.refuse(Problem(500, "an error of the server; its log has the id"))

    async def _answer(self, exchange: Exchange, body: bytes) -> bool:
        """Answer from the event loop, or return False: the request asks for more than that."""
        runtime = self.runtime
        model = runtime.live.model
        names = model.description.feature_names
        refuse_other_version(exchange.header(b"if-match"), model.description.version)
        if exchange.method == "GET":
            query = parse_qsl(exchange.query, keep_blank_values=True)
            read = points.read_fields(query, names)
        else:
            read = points.read_json(body, names)
        if not read.options.plain or len(read.rows) >= model.large_tile:
            return False
        parsed = perf_counter()
        share = await runtime.batcher.predict(model, read.rows, read.options.noise)
        document = answers.few_points(share.P, share.outside, read.shape)
        await exchange.predicted(model, document, parsed, share)
        return True

    async def _answer_call(self, exchange: Exchange, body: bytes) -> bool:
        """Answer UM-Bridge's call from the event loop."""
        runtime = self.runtime
        model = runtime.live.model
        call = umbridgecalls.read(body, model, "Evaluate")
        columns = umbridgecalls.columns(call.name, model)
        rows = umbridgecalls.rows(call, len(model.description.feature_names))
        parsed = perf_counter()
        share = await runtime.batcher.predict(model, rows, call.config.noisy)
        document = umbridgecalls.evaluated(share.P, columns)
        await exchange.predicted(model, document, parsed, share)
        return True

    async def _probe(self, scope: Scope, send: Send) -> None:
        exchange = Exchange(self.runtime, scope, send, dict(scope["headers"]))
        if exchange.method not in ("GET", "HEAD"):
            detail = f"{exchange.method[:20]} is not allowed here, GET, HEAD are"
            await exchange.refuse(Problem(405, detail, headers={"Allow": "GET, HEAD"}))
        elif scope["path"] == "/metrics":
            await exchange.send(200, probes.METRICS_TYPE, self.runtime.metrics.exposition())
        else:
            status, said = probes.PROBES[scope["path"]](self.runtime)
            await exchange.send(status, "application/json", msgspec.json.encode(said))

    async def _hand_over(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Flask answer on a thread; refuse at once when too many wait for one."""
        if self._taken >= self._places:
            exchange = Exchange(self.runtime, scope, send, dict(scope["headers"]))
            detail = f"{self._taken} large requests are running or waiting already"
            await exchange.refuse(busy(detail, self.runtime.backlog_seconds()))
            return
        self._taken += 1
        try:
            await self._flask(scope, receive, send)  # type: ignore[arg-type]
        finally:
            self._taken -= 1


class Exchange:
    """One request that the front answers itself: its id, its answer, its metrics."""

    __slots__ = ("_headers", "_runtime", "_started", "id", "method", "path", "query", "raw_send")

    def __init__(
        self, runtime: Runtime, scope: Scope, send: Send, headers: dict[bytes, bytes]
    ) -> None:
        self._started = perf_counter()
        self._runtime = runtime
        self.raw_send = send
        self._headers = headers
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.id = request_id(self.header(b"x-request-id"))
        runtime.tally.begin()

    def header(self, name: bytes) -> str:
        """A header's value, or the empty string."""
        value = self._headers.get(name)
        return value.decode("latin-1") if value else ""

    async def predicted(self, model: Model, document: bytes, parsed: float, share: Share) -> None:
        """Send a prediction."""
        version = model.description.version
        timing = (
            f"parse;dur={(parsed - self._started) * 1e3:.3f}, "
            f"queue;dur={share.waited * 1e3:.3f}, predict;dur={share.took * 1e3:.3f}"
        )
        extra = (
            (b"x-model-version", version.encode()),
            (b"etag", f'"{version}"'.encode()),
            (b"vary", b"Accept"),
            (b"server-timing", timing.encode()),
        )
        await self.send(200, "application/json", document, extra)

    async def refuse(self, problem: Problem) -> None:
        """Send the problem in the form that the path's protocol prescribes."""
        extra = tuple((k.lower().encode(), v.encode()) for k, v in problem.headers.items())
        status, media_type, body = error_form(self.path)(problem, self.id)
        await self.send(status, media_type, body, extra)

    async def send(
        self,
        status: int,
        media_type: str,
        body: bytes,
        extra: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """Send an answer, count it, and log it if that is asked for."""
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self.id.encode()),
            *extra,
        ]
        await self.raw_send({"type": "http.response.start", "status": status, "headers": headers})
        await self.raw_send({"type": "http.response.body", "body": body})
        took = perf_counter() - self._started
        runtime = self._runtime
        runtime.tally.end((self.method, self.path, status), took)
        which = runtime.settings.access_log
        if wants_log(which, status):
            log_request(which, self.id, self.method, self.path, status, took)

    def abandon(self) -> None:
        """Leave the request, uncounted, to Flask."""
        self._runtime.tally.leave()


def _is_small(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    if len(headers) != len(scope["headers"]):  # a repeated header: let Flask combine them
        return False
    if headers.get(b"accept", b"").decode("latin-1") not in JSON_ACCEPTS:
        return False
    if scope["method"] == "GET":
        return b"content-length" not in headers and b"transfer-encoding" not in headers
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and headers.get(b"content-type", b"application/json") in _JSON_TYPES
        and length.isdigit()
        and int(length) <= SMALL_BODY
        and not scope["query_string"]
        and b"content-encoding" not in headers
    )


def _is_small_call(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """UM-Bridge's clients send JSON under any Content-Type, or none."""
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and length.isdigit()
        and int(length) <= SMALL_BODY
        and b"content-encoding" not in headers
    )


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that has been read once more, then whatever comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def _with_chunked_bodies(flask: Flask) -> Any:
    """Tell Werkzeug that a body without a length has an end: the server has unchunked it."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        return flask.wsgi_app(environ, start_response)

    return application
