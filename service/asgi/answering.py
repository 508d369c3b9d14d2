"""How a connection's requests are started and answered: at once, on a task, or with a refusal."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.asgi.direct import Small
from service.asgi.exchange import DirectRequest, send_response
from service.asgi.fastroutes import Head, Start
from service.asgi.front import Front
from service.asgi.transport import DIRECT_WRITER, CoalescingTransport, DirectWriter, Response
from service.asgi.upgrades import UpgradeIgnoringProtocol
from service.runtime.logs import log_unexpected
from service.runtime.runtime import Runtime
from service.services.errors import Problem


def _disable_chunking(cycle: RequestResponseCycle) -> None:
    """Have uvicorn send a body of unknown length as it is.

    HTTP/1.0 has no chunked encoding; the body ends when the connection closes (RFC 9112, section
    6.1). Uvicorn closes it after every response to HTTP/1.0.
    """
    send = cycle.send
    cycle.chunked_encoding = False

    async def send_unchunked(message: Any) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_unchunked  # type: ignore[method-assign]


class AnsweringProtocol(UpgradeIgnoringProtocol):
    """A connection that answers small requests itself, as soon as they are there.

    Parameters
    ----------
    runtime : whose settings hold the limits
    front : the ASGI application, for all other requests
    *args, **kwargs : of uvicorn's protocol

    Attributes
    ----------
    in_header, in_body : which part of a request is awaited; before the first one, its header
    """

    _writer: DirectWriter

    def __init__(self, runtime: Runtime, front: Front, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runtime = runtime
        self._settings = runtime.settings
        self._front = front
        self._small: Small | None = None
        self._parsed: Head | None = None
        self._served = 0
        self._begun = 0
        self.in_header = True
        self.in_body = False
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Write through a transport of our own."""
        coalescing = CoalescingTransport(transport, self.loop, self._reads_on)
        self._writer = DirectWriter(coalescing)
        super().connection_made(cast(asyncio.Transport, coalescing))

    def _reads_on(self) -> bool:
        """Read the rest of the last request's body before the connection closes.

        A socket that is closed with unread data is reset, and a client that reads only when it has
        sent everything loses its answer.
        """
        if self._ended or not (self.in_body and self.cycle.response_complete):
            return False
        self._ended = True
        return True

    def data_received(self, data: bytes) -> None:
        """Start a request whose head is known, or parse the data, and know their head from now."""
        start = None
        if not self.in_body and not (self.in_header and self._begun):  # a request starts here
            start = self._front.routes.known.start(data)
            if start is not None and self._start_known(start, data):
                return
        begun, self._parsed = self._begun, None
        super().data_received(data)
        if start is not None and self._parsed is not None and self._begun == begun + 1:
            self._front.routes.known.add(start, data, self._parsed)

    def on_message_complete(self) -> None:
        """Answer a small request; its head may be known if the connection stays open after it."""
        super().on_message_complete()
        if self._small is not None:
            if self.cycle.scope["http_version"] == "1.1" and self.parser.should_keep_alive():
                self._parsed = self._small.head
            self._answer_small(self._small, bytes(self.cycle.body))

    def _start_known(self, start: Start, data: bytes) -> bool:
        """Start a request as the parser would, if its head is known and it is whole."""
        known = self._front.routes.known.get(start, data)
        if (
            known is None
            or (self.cycle and not self.cycle.response_complete)
            or self.transport.is_closing()
        ):
            return False
        head, body = known.with_id(start.id), data[start.length :]
        self._begun += 1
        self._served += 1
        self.in_header = False
        self.scope = cast(Any, head.scope)
        self.cycle = cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not self._is_last(),
            on_response=self.on_response_complete,
        )
        cycle.body += body
        cycle.more_body = False
        cycle.message_event.set()
        self._writer.cycle = cycle
        if not self._refuse_if_full(cycle):
            small = self._front.small.admit(head)
            if small is None:
                self._start_task(cycle, self._front)
            else:
                self._answer_small(small, body)
        return True

    def _is_last(self) -> bool:
        """Whether the connection is to be closed after this request."""
        return self._runtime.draining or self._served >= self._settings.keepalive_requests

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start a request unless the server has too much to do; a small one waits for its body.

        One that has waited for another, and is complete, takes a task and so a turn of the loop.
        """
        if self.transport.is_closing():
            return
        self._writer.cycle = cycle
        try:
            if self._refuse_if_full(cycle):
                return
            if cycle.more_body and not cycle.waiting_for_100_continue:
                scope: Any = cycle.scope
                head = self._front.routes.head(scope)
                self._small = self._front.small.admit(head) if head else None
        except Exception:  # a fault of ours: Flask can still answer, and the parser must not fail
            log_unexpected("")
            self._small = None
        if self._small is None:
            self._start_task(cycle, app)

    def _refuse_if_full(self, cycle: RequestResponseCycle) -> bool:
        """Refuse a small request, now or on a task, when too much work waits."""
        try:
            self._runtime.batcher.backlog.refuse_if_full()
            return False
        except Problem as problem:
            scope: Any = cycle.scope
            refusal = self._front.shedder.refusal(problem, scope)
        if refusal is None:
            return False
        if self._can_refuse_here(cycle):
            self._writer.respond(cycle, *refusal)
            self._front.shedder.rest(self.flow)
        else:
            self._start_task(cycle, partial(self._front.shedder.send_later, refusal))
        return True

    def _start_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: Any = cycle.scope
        if scope["http_version"] == "1.0":
            _disable_chunking(cycle)
        scope[DIRECT_WRITER] = self._writer
        super()._start_asgi_task(cycle, app)

    def _answer_small(self, small: Small, body: bytes) -> None:
        self._small = None
        self._front.small.answer(small, body, partial(self._reply, self.cycle, small.request))

    def _reply(
        self, cycle: RequestResponseCycle, request: DirectRequest, response: Response | None
    ) -> None:
        """Send the answer to a small request, or start what Flask must answer."""
        if response is None:
            self._start_task(cycle, self._front.hand_over)
            return
        if not self._writer.try_respond(*response):  # the client has left, or reads slowly
            self._start_task(cycle, partial(send_response, response))
        request.finish(response[0])

    def _can_refuse_here(self, cycle: RequestResponseCycle) -> bool:
        """Whether the connection stays open and has no other request or message to handle.

        Of requests that arrive together only the first: the others take a turn of the loop each.
        """
        return (
            cycle.keep_alive
            and not self.flow.read_paused
            and not cycle.waiting_for_100_continue
            and not self.pipeline
            and not self._runtime.draining
            and self._served + 1 < self._settings.keepalive_requests
        )
