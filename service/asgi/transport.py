"""Writing to a connection: coalesced writes, and whole responses past uvicorn's own writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Headers = list[tuple[bytes, bytes]]
Response = tuple[int, Headers, bytes]
"""Status, headers and body."""

_ADDRESSES = frozenset({"socket", "sockname", "peername"})


class CoalescingTransport:
    """Coalesce the writes of one event-loop iteration into one system call.

    Uvicorn writes the head of a response and its body one after the other, and uvloop sends each
    at once: two system calls, two packets, and two wake-ups of the client for 300 bytes.

    Parameters
    ----------
    reads_on : asked when the connection is to close; if it returns True, only the writing ends
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        reads_on: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._reads_on = reads_on
        self._call_soon = loop.call_soon
        self._pending: list[bytes] = []
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, except addresses: seven system calls per connection."""
        return default if name in _ADDRESSES else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this iteration."""
        if not self._pending:
            self._call_soon(self._flush)
        self._pending.append(data)

    def write_now(self, data: bytes) -> None:
        """Send `data` now, or after the writes that are pending."""
        if self._pending:
            self._pending.append(data)
        elif not self.is_closing():
            self._transport.write(data)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if pending and not self.is_closing():
            self._transport.writelines(pending)

    def end(self) -> None:
        """Send what is pending and, except in TLS, the end of the stream; reading goes on."""
        self._flush()
        if not self.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Send what is pending, then close, or only end the stream."""
        if self._reads_on():
            self.end()
        else:
            self._flush()
            self._transport.close()


class DirectWriter:
    """Writes a whole response without uvicorn's checks of each header, which ours cannot fail.

    That saves a tenth of the time of a small request. Each connection has one writer, and offers it
    to the application in the ASGI scope under the key `DIRECT_WRITER`.

    Attributes
    ----------
    cycle : uvicorn's state of the request that is being answered, if any
    """

    __slots__ = ("_transport", "cycle")

    def __init__(self, transport: CoalescingTransport) -> None:
        self._transport = transport
        self.cycle: RequestResponseCycle | None = None

    def try_respond(self, status: int, headers: Headers, body: bytes) -> bool:
        """Answer the current request, or return False: the response must go through `send`."""
        cycle = self.cycle
        if (
            cycle is None
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        self.respond(cycle, status, headers, body)
        return True

    def respond(
        self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes
    ) -> None:
        """Answer a request, whether or not a task was started for it."""
        keep_alive = cycle.keep_alive
        headers = [*cycle.default_headers, *headers]
        self._transport.write_now(_encode(status, headers, body, keep_alive))
        cycle.response_started = cycle.response_complete = True
        if not keep_alive:
            self._transport.close()
        on_response, cycle.on_response = cycle.on_response, _nothing  # breaks a reference cycle
        on_response()

    def respond_and_end(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer something that is not a complete request, and write nothing more."""
        self._transport.write(_encode(status, headers, body, keep_alive=False))
        self._transport.end()


DIRECT_WRITER = "gpserve.direct_writer"


def _nothing() -> None:
    """Follow an answer that has been followed up already."""


def _encode(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, keep_alive: bool
) -> bytes:
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += name, b": ", value, b"\r\n"
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    parts += b"\r\n", body
    return b"".join(parts)
