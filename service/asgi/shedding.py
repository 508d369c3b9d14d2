"""Refusals of small requests while too much work waits."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

from service.asgi.exchange import DirectRequest, Receive, Scope, Send, send_response
from service.asgi.fastroutes import FastRoutes
from service.asgi.transport import Response
from service.runtime.logs import RequestLog
from service.runtime.runtime import Runtime
from service.services.errors import Problem

_KEPT_SECONDS = 0.005
_OTHER_SECONDS = 0.02
_LONGEST_SECONDS = 2.0
"""How long a refused connection rests for each one that rests: then refusals of kept connections,
and those of others, which cost four times as much, take a tenth of a processor."""


class LoadShedder:
    """Refuses small requests while too much work waits, without their body and without a task.

    A refused connection rests before its next request is read; where it is not kept, it rests
    before it is refused. The more of them rest, the longer. Clients that send again at once would
    otherwise take the time that is there for predictions and for new connections.
    """

    def __init__(self, runtime: Runtime, routes: FastRoutes, log: RequestLog) -> None:
        self._backlog = runtime.batcher.backlog
        self._routes = routes
        self._log = log
        self._resting = 0

    def refusal(self, scope: Scope) -> Response | None:
        """Return the refusal of a small request, counted and logged, or None: answer it."""
        try:
            self._backlog.refuse_if_full()
        except Problem as problem:
            headers, route = dict(scope["headers"]), self._routes.of(scope["path"])
            if route is None or not route.accepts(scope, headers):
                return None
            template = self._routes.template(scope["path"])
            request = DirectRequest(self._log, scope, headers, template)
            request.finish(problem.status)
            return request.refusal(problem)
        return None

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
