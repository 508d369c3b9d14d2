"""Uvicorn's HTTP connection with limits for clients that are slow, large, or stay for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.asgi.exchange import WHOLE, Headers
from service.asgi.transport import OneWrite
from service.asgi.upgrades import DecliningProtocol
from service.services.problems import Problem, error_form
from service.settings import Settings

if TYPE_CHECKING:
    from service.asgi.front import Front


def send_unframed(cycle: Any) -> None:
    """Have uvicorn's cycle of one request send bodies of unknown length as they are.

    RFC 9112, section 6.1. Uvicorn closes the connection after an answer to HTTP/1.0.
    """
    send = cycle.send
    cycle.chunked_encoding = False

    async def unframed(message: dict[str, Any]) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = unframed


_LAST_REQUEST_SECONDS = 1.0
"""At the end of a drain, time for a request that is on its way."""


class Connection(DecliningProtocol):
    """A connection that knows since when it has waited for a header, a body, or its reader."""

    front: Front

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runtime = self.front.runtime
        self._settings = self._runtime.settings
        self._served = 0
        self._begun = 0
        self._header_bytes = 0
        self.in_header = True
        self.in_body = False
        self.deadline = 0.0
        self._answering: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a header."""
        super().connection_made(cast(asyncio.Transport, OneWrite(transport, self.loop)))
        self.deadline = time.monotonic() + self._settings.header_timeout_seconds

    def data_received(self, data: bytes) -> None:
        """Refuse a header that is too large before it fills memory."""
        begun, was_in_body = self._begun, self.in_body
        super().data_received(data)
        if not self.in_header or not self._begun:
            return
        if self._begun == begun:
            self._header_bytes += len(data)
        else:  # what belongs to the requests before it in this piece is not known
            alone = self._begun == begun + 1 and not was_in_body
            self._header_bytes = len(data) if alone else 1
        limit = self._settings.max_header_bytes
        if self._header_bytes > limit and not self.transport.is_closing():
            self.refuse(Problem(431, f"the header is larger than {limit} bytes"))

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the header."""
        super().on_message_begin()
        self.in_header = True
        self._begun += 1
        self.deadline = time.monotonic() + self._settings.header_timeout_seconds

    def on_headers_complete(self) -> None:
        """Begin the request; say in its answer whether the connection ends with it."""
        super().on_headers_complete()
        if self.is_declining:
            return
        self.in_header = False
        self.in_body = True
        self.deadline = time.monotonic() + self._settings.body_timeout_seconds
        self._served += 1
        if self._runtime.draining or self._served >= self._settings.keepalive_requests:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Extend the deadline by what arrived: a drip does not, steady progress does."""
        super().on_body(body)
        latest = time.monotonic() + self._settings.body_timeout_seconds
        earned = len(body) / self._settings.body_min_bytes_per_second
        self.deadline = min(latest, self.deadline + earned)

    def on_message_complete(self) -> None:
        """End the wait for the body."""
        super().on_message_complete()
        if self.is_declining:
            return
        self.in_body = False
        if self.cycle.response_complete:
            self.deadline = time.monotonic() + self.timeout_keep_alive

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        answer = self.front.refusals.answer(cycle.scope) if self._may_refuse(cycle) else None
        if answer is not None:
            self._write_whole(cycle, *answer)
            return
        if cycle.scope["http_version"] == "1.0":
            send_unframed(cycle)
        self._answering = cycle
        cycle.scope[WHOLE] = self._offer_whole
        super()._start_asgi_task(cycle, app)

    def _may_refuse(self, cycle: Any) -> bool:
        """Whether nothing else is to be said or done but to refuse, and the connection stays."""
        return (
            cycle.keep_alive
            and not cycle.waiting_for_100_continue
            and not self.pipeline
            and not self._runtime.draining
            and self._served + 1 < self._settings.keepalive_requests
        )

    def _offer_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send an answer that is ready; or say that it must go the usual way."""
        cycle = self._answering
        if cycle.disconnected or self.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        self._write_whole(cycle, status, headers, body)
        return True

    def _write_whole(self, cycle: Any, status: int, headers: Headers, body: bytes) -> None:
        """Past uvicorn's look at each header for what ours cannot have: a tenth of a request."""
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += name, b": ", value, b"\r\n"
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += b"\r\n", body
        self.transport.write_at_once(b"".join(lines))  # type: ignore[attr-defined]
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, by the sweep: a timer a request would cost 4 %."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self.in_body:
            self.deadline = time.monotonic() + self.timeout_keep_alive

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a thread that still computes for this client that it has left."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.scope["gpserve.left"] = True  # type: ignore[typeddict-unknown-key]
        super().connection_lost(exc)
        if self._answering is not None:
            self._answering.scope.pop(WHOLE, None)  # else nothing but the collector ends us

    def shutdown(self) -> None:
        """Close an idle connection; a new one may have its request on the way."""
        if self._begun and not self.in_header:
            super().shutdown()
        else:
            self.deadline = min(self.deadline, time.monotonic() + _LAST_REQUEST_SECONDS)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self.deadline = time.monotonic() + self._settings.body_timeout_seconds

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read, in the path's form when that is known."""
        self.refuse(Problem(400, "this cannot be read as an HTTP request"))

    def refuse(self, problem: Problem) -> None:
        """Send a problem past the application, in its path's form when that is known, and close."""
        path = "" if self.in_header else self.scope["path"]
        status, media_type, body = error_form(path)(problem, "")
        head = (
            f"HTTP/1.1 {status} {problem.title}\r\n"
            f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def end_if_stalled(self, now: float) -> None:
        """Close the connection when its deadline has passed."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.flow.read_paused:  # the wait is ours, not the client's
            self.deadline = now + self._settings.body_timeout_seconds
        if now < self.deadline:
            return
        if self.flow.write_paused:
            self.transport.abort()
        elif not self._begun:
            self.transport.close()
        elif self.in_header:
            self.refuse(Problem(408, "the header did not arrive in time"))
        elif self.in_body and not self.cycle.response_started:
            self.refuse(Problem(408, "the body did not arrive in time"))
        elif self.in_body:
            self.transport.abort()
        elif self.cycle.response_complete:
            self.transport.close()


def end_stalled(connections: Iterable[Any], settings: Settings) -> None:
    """End the connections that have waited too long for their clients."""
    now = time.monotonic()
    for connection in list(connections):
        connection.end_if_stalled(now)
