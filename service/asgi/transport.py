"""An answer in one system call: what is written in one turn of the event loop leaves together."""

from __future__ import annotations

import asyncio
from typing import Any

_NAMES = frozenset({"socket", "sockname", "peername"})


class OneWrite:
    """A transport that gathers writes until the loop's turn ends.

    Uvicorn writes the head of an answer and its body one after the other, and uvloop sends each at
    once: two system calls, two packets, and two wake-ups of the client for 300 bytes.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, but the names of its ends: seven system calls a connection."""
        return default if name in _NAMES else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` when the turn ends."""
        if not self._held:
            self._call_soon(self._flush)
        self._held.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send `data`, behind what is held."""
        if self._held:
            self._held.append(data)
        elif not self.is_closing():
            self._transport.write(data)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self.is_closing():
            self._transport.writelines(held)

    def close(self) -> None:
        """Send what has been written, then close."""
        self._flush()
        self._transport.close()
