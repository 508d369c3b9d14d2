"""Small requests, without a task for each: who may ask, the answer, and refusals under load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from uvicorn.protocols.http.flow_control import FlowControl

from service.asgi.exchange import DirectRequest, Receive, Scope, Send, send_response
from service.asgi.fastroutes import FastRoutes, Head
from service.asgi.transport import Response
from service.runtime.batching import Waiting
from service.runtime.logs import RequestLog, log_unexpected
from service.runtime.runtime import Runtime
from service.services.errors import Problem

_KEPT_SECONDS = 0.005
_OTHER_SECONDS = 0.02
_LONGEST_SECONDS = 2.0
"""How long a refused connection rests for each one that rests: then refusals of kept connections,
and those of others, which cost four times as much, take a tenth of a processor."""


class Small(NamedTuple):
    """A request that was admitted by its head."""

    request: DirectRequest
    head: Head


Reply = Callable[[Response | None], None]
"""Called with the answer, or with None: Flask must answer."""


class SmallRequests:
    """Answers the small requests of one process."""

    def __init__(self, runtime: Runtime, log: RequestLog) -> None:
        self._keys = runtime.keys
        self._batcher = runtime.batcher
        self._log = log

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
            reply(_failure(request, error))
            return
        if asked is None:
            reply(None)
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
    reply(response)


def _failure(request: DirectRequest, error: Exception) -> Response:
    """Return the answer to an error, which is being handled."""
    problem = error if isinstance(error, Problem) else log_unexpected(request.id)
    return request.refusal(problem)


class LoadShedder:
    """Refuses small requests while too much work waits, without their body and without a task.

    A refused connection rests before its next request is read; where it is not kept, it rests
    before it is refused. The more of them rest, the longer. Clients that send again at once would
    otherwise take the time that is there for predictions and for new connections.
    """

    def __init__(self, routes: FastRoutes, log: RequestLog) -> None:
        self._routes = routes
        self._log = log
        self._resting = 0

    def refusal(self, problem: Problem, scope: Scope) -> Response | None:
        """Return the refusal of a small request, counted and logged, or None: it is not small."""
        head = self._routes.head(scope)
        if head is None:
            return None
        request = DirectRequest(self._log, head.scope, head.headers, head.template)
        request.finish(problem.status)
        return request.refusal(problem)

    def rest(self, flow: FlowControl) -> None:
        """Read nothing from a refused connection for a while."""
        flow.pause_reading()
        asyncio.get_running_loop().call_later(self._begin_rest(_KEPT_SECONDS), self._wake, flow)

    def _wake(self, flow: FlowControl) -> None:
        self._resting -= 1
        flow.resume_reading()

    async def send_later(
        self, response: Response, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send a refusal after a while, as an ASGI application does."""
        await asyncio.sleep(self._begin_rest(_OTHER_SECONDS))
        self._resting -= 1
        await send_response(response, scope, receive, send)

    def _begin_rest(self, each: float) -> float:
        """Count a connection that rests; return for how many seconds."""
        self._resting += 1
        return min(self._resting * each, _LONGEST_SECONDS)
