"""The front: small requests answered on the event loop, the rest handed to Flask on threads.

A point in JSON costs Flask 300 microseconds of routing and objects, and the front 20. Both call
the same functions to read points, predict and write answers, so each rule exists once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from a2wsgi import WSGIMiddleware
from flask import Flask

from service.asgi.exchange import (
    IS_SMALL,
    Exchange,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    replayed,
    whole_body,
)
from service.runtime import probes
from service.runtime.metrics import METRICS_TYPE
from service.runtime.pool import yield_priority
from service.runtime.runtime import Runtime
from service.services import umbridge as umbridgecalls
from service.services import writing
from service.services.jsonpoints import read_json
from service.services.points import read_fields
from service.services.problems import Problem, busy
from service.web.headers import refuse_other_version

REST_SECONDS = 0.01
"""So long refusals gather while a thread computes."""


class Refusals:
    """Answers that need neither the body nor a task."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._resting = False

    def answer(self, scope: Scope) -> tuple[int, Headers, bytes] | None:
        """The answer to a small prediction while too much waits, or None: serve it."""
        if scope["path"] not in IS_SMALL:
            return None
        try:
            self._runtime.batcher.backlog.refuse_if_full()
        except Problem as problem:
            headers = dict(scope["headers"])
            if not IS_SMALL[scope["path"]](scope, headers):
                return None
            exchange = Exchange(self._runtime, scope, headers, _nowhere)
            exchange.finish(problem.status)
            self._rest_soon()
            return exchange.refusal(problem)
        return None

    def _rest_soon(self) -> None:
        if not self._resting and self._runtime.batcher.has_left_the_loop:
            self._resting = True
            asyncio.get_running_loop().call_soon(self._rest)

    def _rest(self) -> None:
        time.sleep(REST_SECONDS)
        self._resting = False


async def _nowhere(message: Message) -> None:
    raise AssertionError("a refusal is sent by the connection")


Answer = Callable[["Front", Exchange, bytes], Awaitable[bool]]
"""Answers a body, or says that the request asks for more than the event loop should do."""

log = logging.getLogger(__name__)


class Front:
    """The ASGI application in front of a Flask application."""

    def __init__(self, flask: Flask) -> None:
        self.runtime = cast(Runtime, flask.extensions["gpserve"])
        settings = self.runtime.settings
        self.refusals = Refusals(self.runtime)
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
        elif scope["path"] in IS_SMALL:
            await self._small(scope, receive, send)
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

    async def _small(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if not IS_SMALL[scope["path"]](scope, headers):
            await self._hand_over(scope, receive, send)
            return
        exchange = Exchange(self.runtime, scope, headers, send)
        try:
            self.runtime.batcher.backlog.refuse_if_full()
            body = await whole_body(receive)
            if not await _ANSWERS[scope["path"]](self, exchange, body):
                exchange.abandon()
                await self._hand_over(scope, replayed(body, receive), send)
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
            read = read_fields(query, names)
        else:
            read = read_json(body, names)
        n = len(read.rows)
        if not read.options.plain or n >= model.large_tile or n > runtime.settings.max_points:
            return False
        parsed = perf_counter()
        share = await runtime.batcher.predict(model, read.rows, read.options.noise)
        document = writing.few_points(share.P, share.outside, read.shape)
        await exchange.predicted(model, document, parsed, share)
        return True

    async def _answer_call(self, exchange: Exchange, body: bytes) -> bool:
        """Answer UM-Bridge's call from the event loop."""
        runtime = self.runtime
        model = runtime.live.model
        refuse_other_version(exchange.header(b"if-match"), model.description.version)
        call = umbridgecalls.read(body, model, "Evaluate")
        columns = umbridgecalls.columns(call.name, model)
        names, limit = model.description.feature_names, runtime.settings.max_points
        rows = umbridgecalls.rows(call, len(names), limit)
        parsed = perf_counter()
        share = await runtime.batcher.predict(model, rows, call.config.noisy)
        document = umbridgecalls.evaluated(share.P, columns)
        await exchange.predicted(model, document, parsed, share)
        return True

    async def _probe(self, scope: Scope, send: Send) -> None:
        exchange = Exchange(self.runtime, scope, dict(scope["headers"]), send)
        if exchange.method not in ("GET", "HEAD"):
            detail = f"{exchange.method[:20]} is not allowed here, GET, HEAD are"
            await exchange.refuse(Problem(405, detail, headers={"Allow": "GET, HEAD"}))
        elif scope["path"] == "/metrics":
            await exchange.send(200, METRICS_TYPE, self.runtime.metrics.exposition())
        else:
            status, said = probes.PROBES[scope["path"]](self.runtime)
            await exchange.send(status, "application/json", msgspec.json.encode(said))

    async def _hand_over(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Flask answer on a thread; refuse at once when too many wait for one."""
        if self._taken >= self._places:
            exchange = Exchange(self.runtime, scope, dict(scope["headers"]), send)
            detail = f"{self._taken} large requests are running or waiting already"
            await exchange.refuse(busy(detail, self.runtime.backlog_seconds()))
            return
        self._taken += 1
        try:
            await self._flask(scope, receive, send)  # type: ignore[arg-type]
        finally:
            self._taken -= 1


_ANSWERS: dict[str, Answer] = {"/predict": Front._answer, "/Evaluate": Front._answer_call}


def _with_chunked_bodies(flask: Flask) -> Any:
    """Tell Werkzeug that a body without a length has an end: the server has unchunked it."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        return flask.wsgi_app(environ, start_response)

    return application
