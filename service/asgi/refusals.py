"""Small predictions that are refused while too much waits: as cheaply as can be.

Under overload most requests are refused. What each costs is lost to those that are predicted: a
task for each would cost three times as much, and each turn of the event loop takes the processor
and its cache from the thread that computes.
"""

from __future__ import annotations

import asyncio
import time

from service.asgi.exchange import Exchange, Headers
from service.asgi.smallrequests import IS_SMALL, Message, Scope
from service.runtime.runtime import Runtime
from service.services.problems import Problem

REST_SECONDS = 0.01
"""So long refusals gather while a thread computes."""


class Refusals:
    """Answers that need neither the body nor a task."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._resting = False

    def answer(self, scope: Scope) -> tuple[int, Headers, bytes] | None:
        """The answer to a small prediction while too much waits, or None: serve it."""
        if scope["path"] not in IS_SMALL:
            return None
        try:
            self._runtime.batcher.backlog.refuse_if_full()
        except Problem as problem:
            headers = dict(scope["headers"])
            if not IS_SMALL[scope["path"]](scope, headers):
                return None
            exchange = Exchange(self._runtime, scope, headers, _nowhere)
            exchange.finish(problem.status)
            self._rest_soon()
            return exchange.refusal(problem)
        return None

    def _rest_soon(self) -> None:
        if not self._resting and self._runtime.batcher.has_left_the_loop:
            self._resting = True
            asyncio.get_running_loop().call_soon(self._rest)

    def _rest(self) -> None:
        time.sleep(REST_SECONDS)
        self._resting = False


async def _nowhere(message: Message) -> None:
    raise AssertionError("a refusal is sent by the connection")
