"""Uvicorn's HTTP connection with limits for clients that are slow, oversized or never leaving."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.asgi.answering import AnsweringProtocol
from service.asgi.front import Front
from service.asgi.transport import Response
from service.runtime.runtime import Runtime
from service.services.errors import Problem, error_form
from service.settings import Settings
from service.web.hooks import CLIENT_LEFT

_LINE_BYTES = 4
"""What a line of a header has besides name and value."""

_LONGEST_URL = 65535
"""What the parser can divide into path and query."""

_LINGER_SECONDS = 1.0
"""How long the rest of a refused request is read, and dropped."""

_LAST_REQUEST_SECONDS = 1.0
"""At the end of a drain, how long a new connection may take to send its request."""


class Connection(AnsweringProtocol):
    """A connection with a deadline for the next header, the body, or the client's reading.

    Parameters
    ----------
    runtime : whose settings hold the limits
    front : answers the requests
    *args, **kwargs : of uvicorn's protocol
    """

    def __init__(self, runtime: Runtime, front: Front, *args: Any, **kwargs: Any) -> None:
        super().__init__(runtime, front, *args, **kwargs)
        self._max_header_bytes = runtime.settings.max_header_bytes
        self._head_bytes = 0
        self._line_bytes = 0
        self._hosts = 0
        self._read_body = False
        self._refusal: Problem | None = None
        self._last: Response | None = None
        self._lingering = False
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a header."""
        super().connection_made(transport)
        self.deadline = time.monotonic() + self._settings.header_timeout_seconds

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse a line of a header or trailer that does not end.

        The parser keeps such a line until it is complete.
        """
        if self._lingering or self._last:
            return
        self._read_body = False
        super().data_received(data)
        line = len(data) - data.rfind(b"\n") - 1
        self._line_bytes = line if line < len(data) else self._line_bytes + line
        if self._read_body or not (self.in_header or self.in_body):
            self._line_bytes = 0
        limit = self._max_header_bytes
        if self._line_bytes > limit and self._can_refuse():
            self.refuse(Problem(431, f"the header is larger than {limit} bytes"))

    def on_message_begin(self) -> None:
        """Start to wait for the rest of the header."""
        super().on_message_begin()
        self.in_header = True
        self._begun += 1
        self._head_bytes = self._hosts = 0
        self.deadline = time.monotonic() + self._settings.header_timeout_seconds

    def on_url(self, url: bytes) -> None:
        """Refuse an address that is too long."""
        self._head_bytes += len(url)
        limit = min(self._max_header_bytes, _LONGEST_URL)
        if self._head_bytes > limit:
            self._stop(Problem(414, f"the address is longer than {limit} bytes"))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; refuse one that is too large, and read past trailers.

        To keep it by uvicorn's own method would take 3 to 7 % of a request that is parsed.
        """
        self._head_bytes += len(name) + len(value) + _LINE_BYTES
        if self._head_bytes > self._max_header_bytes:
            self._stop(Problem(431, f"the header is larger than {self._max_header_bytes} bytes"))
        if not self.in_header:  # a trailer, after a chunked body
            return
        name = name.lower()
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            self._stop(Problem(501, "the only Transfer-Encoding that is supported is chunked"))
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def _stop(self, problem: Problem) -> NoReturn:
        """End the parser, whose error is answered with this problem."""
        self._refusal = problem
        raise ValueError(problem.detail)

    def on_headers_complete(self) -> None:
        """Start the request; its response says whether the connection closes after it."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._stop(Problem(505, "this server speaks HTTP/1.1 and HTTP/1.0"))
        if self._hosts > 1 or (version == "1.1" and not self._hosts):  # RFC 9112, section 3.2
            self._stop(Problem(400, f"the request has {self._hosts} Host headers, and needs one"))
        super().on_headers_complete()
        if self.will_parse_again:
            return
        self.in_header = False
        self.in_body = True
        self.deadline = time.monotonic() + self._settings.body_timeout_seconds
        self._served += 1
        if self._is_last():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Extend the deadline in proportion to what arrived: steady progress is enough."""
        self._read_body = True
        super().on_body(body)
        latest = time.monotonic() + self._settings.body_timeout_seconds
        earned = len(body) / self._settings.body_min_bytes_per_second
        self.deadline = min(latest, self.deadline + earned)

    def on_message_complete(self) -> None:
        """Stop waiting for the body."""
        if self.will_parse_again:
            return
        self.in_body = False
        super().on_message_complete()
        if self._ended:
            self.transport.close()
        elif self.cycle.response_complete:
            self.deadline = time.monotonic() + self.timeout_keep_alive

    def on_response_complete(self) -> None:
        """Start to wait for the next request; `end_stalled` checks the deadline.

        Uvicorn sets a timer for each request, which takes 4 % of the time.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._ended:
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last:
            self._end(self._last)
        elif not self.in_body:
            self.deadline = time.monotonic() + self.timeout_keep_alive

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a thread that still computes for this client that the client has left."""
        if self.cycle is not None and not self.cycle.response_complete:
            scope: Any = self.cycle.scope
            scope[CLIENT_LEFT] = True
        super().connection_lost(exc)
        self._writer.cycle = None  # breaks a reference cycle: scope, writer, cycle

    def shutdown(self) -> None:
        """Close an idle connection; give a new one time for a request that is under way."""
        if self._begun and not self.in_header:
            super().shutdown()
        else:
            self.deadline = min(self.deadline, time.monotonic() + _LAST_REQUEST_SECONDS)

    def pause_writing(self) -> None:
        """Start to wait for the client to read."""
        super().pause_writing()
        self.deadline = time.monotonic() + self._settings.body_timeout_seconds

    def send_400_response(self, msg: str) -> None:
        """Refuse data that the parser rejects, or that we stopped it for."""
        self.refuse(self._refusal or Problem(400, "this is not a valid HTTP request"))

    def _can_refuse(self) -> bool:
        """Whether nothing has been refused yet, and the connection is open."""
        return not (self._lingering or self._last or self.transport.is_closing())

    def refuse(self, problem: Problem) -> None:
        """Send a problem without asking the application, and close the connection.

        It has the form that the path's protocol prescribes, if the path is known by now. Earlier
        requests are answered first.
        """
        path = "" if self.in_header else self.scope["path"]
        status, media_type, body = error_form(path)(problem, "")
        self._runtime.metrics.count_unreadable(status)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        cycle = self.cycle
        earlier: RequestResponseCycle | None = cycle
        if self.in_body:
            body = b"" if self.scope["method"] == "HEAD" else body
            earlier = self._give_up(cycle)
            if cycle.response_started:  # nothing can be said any more
                self.transport.close()
                return
        if earlier is None or earlier.response_complete:
            self._end((status, headers, body))
        else:
            self._last = status, headers, body

    def _give_up(self, cycle: RequestResponseCycle) -> RequestResponseCycle | None:
        """Forget a request whose body cannot be read; return the one that is answered before it."""
        if any(waiting is cycle for waiting, _ in self.pipeline):
            self.pipeline.popleft()
            return self._writer.cycle
        scope: Any = cycle.scope
        scope[CLIENT_LEFT] = True
        cycle.disconnected, cycle.waiting_for_100_continue = True, False
        cycle.message_event.set()
        return None

    def _end(self, response: Response) -> None:
        """Send the last response, and read for a while.

        Closed at once, a socket with unread data is reset, and the client loses the answer.
        """
        self._writer.respond_and_end(*response)
        self._lingering = True
        self.deadline = time.monotonic() + _LINGER_SECONDS

    def end_if_stalled(self, now: float) -> None:
        """Close the connection when its deadline has passed."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.flow.read_paused or self._last:  # the client waits for us
            self.deadline = now + self._settings.body_timeout_seconds
        if now < self.deadline:
            return
        if self._lingering or not self._begun:
            self.transport.close()
        elif self.flow.write_paused:
            self.transport.abort()
        else:
            self._end_request()

    def _end_request(self) -> None:
        """Say what did not arrive in time, or close a connection without a request."""
        if self.in_header:
            self.refuse(Problem(408, "the header did not arrive in time"))
        elif self.in_body and not self.cycle.response_started:
            self.refuse(Problem(408, "the body did not arrive in time"))
        elif self.in_body:
            self.transport.abort()
        elif self.cycle.response_complete:
            self.transport.close()


def end_stalled(connections: Iterable[Any], settings: Settings) -> None:
    """Close the connections whose clients have missed a deadline."""
    now = time.monotonic()
    for connection in list(connections):
        connection.end_if_stalled(now)
