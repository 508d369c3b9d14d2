"""The front: small requests answered on the event loop, the rest handed to Flask on threads.

Flask spends 300 microseconds on routing and objects for a request of one point, the front 20. Both
call the same functions to read points, predict and write answers, so each rule exists once.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from a2wsgi import WSGIMiddleware

from service.asgi.exchange import (
    DirectRequest,
    Receive,
    Scope,
    Send,
    replayed,
    send_response,
    whole_body,
)
from service.asgi.transport import Headers, Response
from service.model import Model
from service.runtime import probes
from service.runtime.batching import Waiting
from service.runtime.callers import Role
from service.runtime.logs import RequestLog, log_unexpected
from service.runtime.metrics import METRICS_TYPE, LoopCounts
from service.runtime.pool import yield_priority
from service.runtime.runtime import Runtime
from service.services import umbridge as umbridgecalls
from service.services import writing
from service.services.errors import Problem, busy
from service.services.features import features_of
from service.services.jsonpoints import read_json
from service.services.negotiation import JSON_ACCEPTS
from service.services.parsing import LARGE, give_back_memory
from service.services.points import read_fields
from service.web.headers import refuse_other_version
from service.web.hooks import method_not_allowed

WSGI = Callable[[Any, Any], Iterable[bytes]]

SMALL_BODY = 16 << 10
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_BODY_OR_PREFERENCE = frozenset({b"content-length", b"transfer-encoding", b"prefer"})


class FastRoute(ABC):
    """A path whose small requests are answered on the event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    role: Role = "predict"
    """What the caller's key must allow."""

    @abstractmethod
    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether a request is small, as far as its head shows."""

    @abstractmethod
    async def answer(self, request: DirectRequest, body: bytes) -> Response | None:
        """Return the response, or None if the request needs more than the event loop can give.

        Raises `Problem`: the request cannot be answered.
        """


class FastPredict(FastRoute):
    """`/predict`: few points as JSON or in the query string, answered as JSON."""

    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request asks for JSON and has the length of a few points."""
        if headers.get(b"accept", b"").decode("latin-1") not in JSON_ACCEPTS:
            return False
        if scope["method"] == "GET":
            return not _BODY_OR_PREFERENCE & headers.keys()
        length = headers.get(b"content-length", b"")
        return (
            scope["method"] == "POST"
            and headers.get(b"content-type", b"application/json") in _JSON_TYPES
            and length.isdigit()
            and int(length) <= SMALL_BODY
            and not scope["query_string"]
            and b"content-encoding" not in headers
            and b"prefer" not in headers
        )

    async def answer(self, request: DirectRequest, body: bytes) -> Response | None:
        """Return mean and variance, or None for an option or for many points."""
        runtime = self._runtime
        model = runtime.live.model
        features = features_of(model)
        refuse_other_version(request.header(b"if-match"), model.description.version)
        if request.method == "GET":
            query = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
            read = read_fields(query, features)
        else:
            read = read_json(body, features)
        n = len(read.rows)
        if not read.options.plain or n >= model.large_tile or n > runtime.settings.max_points:
            return None
        request.begin()
        done = await runtime.batcher.predict(model, read.rows, read.options.noise)
        document = writing.few_points(done.P, done.outside, read.shape)
        return request.response(document, _headers(model, request, done))


class FastEvaluate(FastRoute):
    """`/Evaluate`: UM-Bridge's call, whose clients send JSON under any Content-Type, or none."""

    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request has the length of one point."""
        length = headers.get(b"content-length", b"")
        return (
            scope["method"] == "POST"
            and length.isdigit()
            and int(length) <= SMALL_BODY
            and b"content-encoding" not in headers
        )

    async def answer(self, request: DirectRequest, body: bytes) -> Response | None:
        """Return the outputs at the input."""
        runtime = self._runtime
        model = runtime.live.model
        refuse_other_version(request.header(b"if-match"), model.description.version)
        call = umbridgecalls.read(body, model, "Evaluate")
        columns = umbridgecalls.columns(call.name, model)
        rows = umbridgecalls.rows(call, features_of(model), runtime.settings.max_points)
        request.begin()
        done = await runtime.batcher.predict(model, rows, call.config.noisy)
        document = umbridgecalls.evaluated(done.P, columns)
        return request.response(document, _headers(model, request, done))


FAST_PATHS: dict[str, type[FastRoute]] = {"/predict": FastPredict, "/Evaluate": FastEvaluate}


def _headers(model: Model, request: DirectRequest, done: Waiting) -> Headers:
    """The model's version, and the time that the parts of a prediction took."""
    timing = (
        f"parse;dur={(request.begun - request.arrived) * 1e3:.3f}, "
        f"queue;dur={done.waited * 1e3:.3f}, predict;dur={done.took * 1e3:.3f}"
    )
    return [*_version_headers(model.description.version), (b"server-timing", timing.encode())]


@lru_cache(maxsize=4)
def _version_headers(version: str) -> Headers:
    return [
        (b"x-model-version", version.encode()),
        (b"etag", f'"{version}"'.encode()),
        (b"vary", b"Accept"),
    ]


PAUSE_SECONDS = 0.01
"""How long refusals are collected while a thread computes."""


class LoadShedder:
    """Refuses small requests while too much work waits, without their body and without a task."""

    def __init__(self, runtime: Runtime, routes: Mapping[str, FastRoute], log: RequestLog) -> None:
        self._batcher = runtime.batcher
        self._routes = routes
        self._log = log
        self._will_pause = False

    def refusal(self, scope: Scope) -> Response | None:
        """Return the refusal of a small request, counted and logged, or None: answer it."""
        route = self._routes.get(scope["path"])
        if route is None:
            return None
        try:
            self._batcher.backlog.refuse_if_full()
        except Problem as problem:
            headers = dict(scope["headers"])
            if not route.accepts(scope, headers):
                return None
            request = DirectRequest(self._log, scope, headers)
            request.finish(problem.status)
            if not self._will_pause and self._batcher.has_left_the_loop:
                self._will_pause = True
                asyncio.get_running_loop().call_soon(self.pause_loop)
            return request.refusal(problem)
        return None

    def pause_loop(self) -> None:
        """Stop the event loop on purpose, so that the thread which computes has the processor.

        The batcher's thread needs nothing from the loop meanwhile, and the refusals that collect
        here are then sent in one iteration. Without the pause they would take the time that is
        there for predictions.
        """
        time.sleep(PAUSE_SECONDS)
        self._will_pause = False


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
        self._routes = {path: route(runtime) for path, route in FAST_PATHS.items()}
        self.shedder = LoadShedder(runtime, self._routes, self._log)
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
        elif (route := self._routes.get(scope["path"])) is not None:
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
        request = DirectRequest(self._log, scope, headers)
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
        request = DirectRequest(self._log, scope, dict(scope["headers"]))
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
            request = DirectRequest(self._log, scope, dict(scope["headers"]))
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
            if _has_large_document(dict(scope["headers"])):
                self._flask.executor.submit(give_back_memory)


def _has_large_document(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is JSON or a form, and so long that its numbers filled much memory."""
    kind, length = headers.get(b"content-type", b""), headers.get(b"content-length", b"")
    size = int(length) if length.isdigit() else LARGE * (b"transfer-encoding" in headers)
    return size >= LARGE and (not kind or b"json" in kind or b"form" in kind)


def _with_chunked_bodies(flask: WSGI) -> WSGI:
    """Tell Werkzeug that a body without a length has an end: the server decodes the chunks."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        return flask(environ, start_response)

    return application
