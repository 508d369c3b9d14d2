"""One request that the front answers itself: its id, its answer, its metrics."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter

from service.asgi.smallrequests import Scope, Send
from service.model import Model
from service.runtime.runtime import Runtime
from service.runtime.share import Share
from service.services.errorforms import error_form
from service.services.problems import Problem
from service.web.hooks import log_request, request_id, wants_log

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
