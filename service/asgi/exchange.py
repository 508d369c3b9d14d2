"""A request that the event loop answers itself: its body, its response, its line in the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any

from service.asgi.transport import DIRECT_WRITER, Response
from service.runtime.logs import RequestLog, request_id
from service.services.errors import Problem, error_form

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def whole_body(receive: Receive) -> bytes:
    """Read all of a small body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that has been read once more, then what follows."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


async def send_response(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as an ASGI application does, in one write if our own connection serves."""
    writer = scope.get(DIRECT_WRITER)
    if writer is not None and writer.try_respond(*response):
        return
    status, headers, body = response
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class DirectRequest:
    """A request that is answered on the event loop, without Flask.

    Parameters
    ----------
    log : counts and logs the request
    scope : the ASGI scope
    headers : by name in lower case
    route : the template of the path, by which it is counted

    Attributes
    ----------
    arrived, begun : `perf_counter()` at its construction and when it was parsed, or 0
    caller : the owner of the key that it was sent with, for the log
    """

    __slots__ = (
        "_headers",
        "_log",
        "_route",
        "arrived",
        "begun",
        "caller",
        "id",
        "method",
        "path",
        "query",
    )

    def __init__(
        self, log: RequestLog, scope: Scope, headers: dict[bytes, bytes], route: str
    ) -> None:
        self.arrived = perf_counter()
        self.begun = 0.0
        self.caller = ""
        self._log = log
        self._headers = headers
        self._route = route
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.id = request_id(self.header(b"x-request-id"))

    def header(self, name: bytes) -> str:
        """Return a header's value, or the empty string."""
        value = self._headers.get(name)
        return value.decode("latin-1") if value else ""

    def begin(self) -> None:
        """Count the request as in progress while it waits for a prediction."""
        self.begun = perf_counter()
        self._log.begin()

    def response(
        self,
        body: bytes,
        extra: Iterable[tuple[bytes, bytes]] = (),
        *,
        status: int = 200,
        media_type: str = "application/json",
    ) -> Response:
        """Return a response with the headers that all responses have, and extra ones."""
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self.id.encode()),
            (b"x-content-type-options", b"nosniff"),
            *extra,
        ]
        return status, headers, body

    def refusal(self, problem: Problem) -> Response:
        """Return the problem in the form that the path's protocol prescribes."""
        status, media_type, body = error_form(self.path)(problem, self.id)
        extra = ((name.lower().encode(), v.encode()) for name, v in problem.headers.items())
        return self.response(body, extra, status=status, media_type=media_type)

    def finish(self, status: int) -> None:
        """Count and log the request once it has been answered."""
        if not self.begun:
            self._log.begin()
        self._log.finish(
            self.id, self.method, self._route, self.path, status, self.arrived, self.caller
        )
