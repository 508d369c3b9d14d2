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


class Small(NamedTuple):
    """A request that was admitted by its head, and its route."""

    request: DirectRequest
    route: FastRoute


Reply = Callable[[DirectRequest, Response | None], None]
"""Called with the answer, or with None: Flask must answer."""


class SmallRequests:
    """Answers the small requests of one process."""

    def __init__(self, runtime: Runtime, routes: FastRoutes, log: RequestLog) -> None:
        self._keys = runtime.keys
        self._batcher = runtime.batcher
        self._routes = routes
        self._log = log

    def admit(self, scope: Scope) -> Small | None:
        """Return the request, or None if its head says that Flask must answer it."""
        path = scope["path"]
        route = self._routes.of(path)
        if route is None:
            return None
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization")
        keys = self._keys
        caller = keys.remembered(authorization) if authorization else keys.anonymous
        if (
            not route.accepts(scope, headers)
            or len(headers) != len(scope["headers"])  # Flask combines a repeated header
            or caller is None
            or route.role not in caller.roles
        ):
            return None
        request = DirectRequest(self._log, scope, headers, self._routes.template(path))
        if caller is not keys.anonymous:
            request.caller = caller.owner
        return Small(request, route)

    def answer(self, small: Small, body: bytes, reply: Reply) -> None:
        """Have `reply` called, now or after the batch that the request is put into."""
        request, route = small
        try:
            # Asked again: requests that arrived together passed the shedder while it was empty.
            self._batcher.backlog.refuse_if_full()
            asked = route.read(request, body)
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
