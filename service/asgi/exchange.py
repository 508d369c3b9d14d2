"""One request that the front answers itself: its id, its answer, its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import Any

from service.model import Model
from service.runtime.batching import Share
from service.runtime.logs import log_request, request_id, wants_log
from service.runtime.runtime import Runtime
from service.services.negotiation import JSON_ACCEPTS
from service.services.problems import Problem, error_form

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
IsSmall = Callable[[Scope, dict[bytes, bytes]], bool]

SMALL_BODY = 16 << 10
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_BODY_OR_PREFERENCE = frozenset({b"content-length", b"transfer-encoding", b"prefer"})


def is_small_prediction(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether it is JSON, or a query string, of few points, and asks for JSON."""
    if len(headers) != len(scope["headers"]):  # a repeated header: let Flask combine them
        return False
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


def is_small_call(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """UM-Bridge's clients send JSON under any Content-Type, or none."""
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and length.isdigit()
        and int(length) <= SMALL_BODY
        and b"content-encoding" not in headers
    )


IS_SMALL: dict[str, IsSmall] = {
    "/predict": is_small_prediction,
    "/Evaluate": is_small_call,  # as common where UM-Bridge is spoken
}


async def whole_body(receive: Receive) -> bytes:
    """All of a small body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that has been read once more, then whatever comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


Headers = list[tuple[bytes, bytes]]

WHOLE = "gpserve.whole"
"""In the scope, where our connection serves: sends (status, headers, body) in one piece, or returns
False."""


@lru_cache(maxsize=4)
def _of_version(version: str) -> Headers:
    return [
        (b"x-model-version", version.encode()),
        (b"etag", f'"{version}"'.encode()),
        (b"vary", b"Accept"),
    ]


class Exchange:
    """From the first look at a request to the count of its answer."""

    __slots__ = (
        "_headers",
        "_raw_send",
        "_runtime",
        "_started",
        "_whole",
        "id",
        "method",
        "path",
        "query",
    )

    def __init__(
        self, runtime: Runtime, scope: Scope, headers: dict[bytes, bytes], send: Send
    ) -> None:
        self._started = perf_counter()
        self._runtime = runtime
        self._raw_send = send
        self._whole = scope.get(WHOLE)
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
        timing = (
            f"parse;dur={(parsed - self._started) * 1e3:.3f}, "
            f"queue;dur={share.waited * 1e3:.3f}, predict;dur={share.took * 1e3:.3f}"
        )
        extra = (*_of_version(model.description.version), (b"server-timing", timing.encode()))
        await self.send(200, "application/json", document, extra)

    async def refuse(self, problem: Problem) -> None:
        """Send the problem in the form that the path's protocol prescribes."""
        status, headers, body = self.refusal(problem)
        await self._send(status, headers, body)
        self.finish(status)

    def refusal(self, problem: Problem) -> tuple[int, Headers, bytes]:
        """The problem in that form, for whoever sends it; call `finish` then."""
        status, media_type, body = error_form(self.path)(problem, self.id)
        headers = self._headers_of(media_type, body)
        headers.extend((k.lower().encode(), v.encode()) for k, v in problem.headers.items())
        return status, headers, body

    async def send(
        self,
        status: int,
        media_type: str,
        body: bytes,
        extra: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """Send an answer and count it."""
        await self._send(status, [*self._headers_of(media_type, body), *extra], body)
        self.finish(status)

    def _headers_of(self, media_type: str, body: bytes) -> Headers:
        return [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self.id.encode()),
        ]

    async def _send(self, status: int, headers: Headers, body: bytes) -> None:
        if self._whole is not None and self._whole(status, headers, body):
            return
        await self._raw_send({"type": "http.response.start", "status": status, "headers": headers})
        await self._raw_send({"type": "http.response.body", "body": body})

    def finish(self, status: int) -> None:
        """Count what has been answered, and log it if that is asked for."""
        took = perf_counter() - self._started
        runtime = self._runtime
        runtime.tally.end((self.method, self.path, status), took)
        which = runtime.settings.access_log
        if wants_log(which, status):
            log_request(which, self.id, self.method, self.path, status, took)

    def abandon(self) -> None:
        """Leave the request, uncounted, to Flask."""
        self._runtime.tally.leave()
