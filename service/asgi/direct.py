"""Small requests from their head to their answer, on the event loop and without a task for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from service.asgi.exchange import DirectRequest, Scope
from service.asgi.fastroutes import FastRoute, FastRoutes
from service.asgi.transport import Response
from service.runtime.batching import Waiting
from service.runtime.logs import RequestLog, log_unexpected
from service.runtime.runtime import Runtime
from service.services.errors import Problem

_HEAD_END = b"\r\n\r\n"
_MOST_KNOWN = 256
_LONGEST_KNOWN = 2048


class Head(NamedTuple):
    """What the head of a small request says, and the length of its body."""

    scope: Scope
    headers: dict[bytes, bytes]
    route: FastRoute
    template: str
    length: int


class KnownHeads:
    """Heads that have been parsed: clients send the same one with every request.

    The same bytes say the same, so they need no parser. A head with credentials is not kept.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return head and body if the data are one whole request with a known head."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def add(self, data: bytes, head: Head) -> None:
        """Keep a head that the parser has found in these data, and no other request."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        if (
            end + head.length != len(data)
            or end > _LONGEST_KNOWN
            or b"content-length" not in head.headers
            or b"authorization" in head.headers
        ):
            return
        if len(self._heads) >= _MOST_KNOWN:
            self._heads.clear()
        self._heads[data[:end]] = head


class Small(NamedTuple):
    """A request that was admitted by its head."""

    request: DirectRequest
    head: Head


Reply = Callable[[DirectRequest, Response | None], None]
"""Called with the answer, or with None: Flask must answer."""


class SmallRequests:
    """Answers the small requests of one process."""

    def __init__(self, runtime: Runtime, routes: FastRoutes, log: RequestLog) -> None:
        self.known = KnownHeads()
        self._keys = runtime.keys
        self._batcher = runtime.batcher
        self._routes = routes
        self._log = log

    def head(self, scope: Scope) -> Head | None:
        """Return what a head says, or None if Flask must answer it."""
        path = scope["path"]
        route = self._routes.of(path)
        if route is None:
            return None
        headers = dict(scope["headers"])
        repeated = len(headers) != len(scope["headers"])  # Flask combines such headers
        if repeated or not route.accepts(scope, headers):
            return None
        length = int(headers.get(b"content-length", b"0"))
        return Head(scope, headers, route, self._routes.template(path), length)

    def admit(self, head: Head) -> Small | None:
        """Return a request with this head, or None if its caller is unknown or has limits."""
        keys, authorization = self._keys, head.headers.get(b"authorization")
        caller = keys.remembered(authorization) if authorization else keys.anonymous
        if caller is None or head.route.role not in caller.roles:
            return None
        request = DirectRequest(self._log, head.scope, head.headers, head.template)
        if caller is not keys.anonymous:
            request.caller = caller.owner
        return Small(request, head)

    def answer(self, small: Small, body: bytes, reply: Reply) -> None:
        """Have `reply` called, now or after the batch that the request is put into."""
        request, head = small
        try:
            # Asked again: requests that arrived together passed the shedder while it was empty.
            self._batcher.backlog.refuse_if_full()
            asked = head.route.read(request, body)
        except Exception as error:
            reply(request, _failure(request, error))
            return
        if asked is None:
            reply(request, None)
            return
        request.begin()
        settled = partial(_settled, request, asked.write, reply)
        self._batcher.submit(asked.model, asked.rows, asked.noise, settled)


def _settled(
    request: DirectRequest, write: Callable[[Waiting], Response], reply: Reply, done: Waiting
) -> None:
    try:
        if done.error is not None:
            raise done.error
        response = write(done)
    except Exception as error:
        response = _failure(request, error)
    reply(request, response)


def _failure(request: DirectRequest, error: Exception) -> Response:
    """Return the answer to an error, which is being handled."""
    problem = error if isinstance(error, Problem) else log_unexpected(request.id)
    return request.refusal(problem)
