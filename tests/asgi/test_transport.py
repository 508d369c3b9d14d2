"""Writes of one event-loop iteration are sent in one call, in order, and before a close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from service.asgi.transport import CoalescingTransport


class Wire:
    """A transport that records the calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def writelines(self, pieces: list[bytes]) -> None:
        self.calls.append(list(pieces))

    def close(self) -> None:
        self.closing = True
        self.calls.append("closed")

    def get_extra_info(self, name: str, default: object = None) -> str:
        return name.upper()


def calls_after(iteration: Callable[[CoalescingTransport], None]) -> list[Any]:
    wire = Wire()

    async def run() -> None:
        transport = cast(asyncio.Transport, wire)
        iteration(CoalescingTransport(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(run())
    return wire.calls


def test_two_writes_of_an_iteration_are_one_call() -> None:
    def iteration(transport: CoalescingTransport) -> None:
        transport.write(b"head")
        transport.write(b"body")

    assert calls_after(iteration) == [[b"head", b"body"]]


def test_what_was_written_is_sent_before_the_close() -> None:
    def iteration(transport: CoalescingTransport) -> None:
        transport.write(b"last words")
        transport.close()

    assert calls_after(iteration) == [[b"last words"], "closed"]


def test_nothing_is_sent_after_the_close() -> None:
    def iteration(transport: CoalescingTransport) -> None:
        transport.close()
        transport.write(b"too late")

    assert calls_after(iteration) == ["closed"]


def test_iterations_are_sent_in_order() -> None:
    wire = Wire()

    async def run() -> None:
        transport = CoalescingTransport(cast(asyncio.Transport, wire), asyncio.get_running_loop())
        for piece in (b"1", b"2"):
            transport.write(piece)
            await asyncio.sleep(0)
        assert transport.get_extra_info("sslcontext") == "SSLCONTEXT"
        assert transport.get_extra_info("peername") is None  # system calls for what nobody needs

    asyncio.run(run())
    assert wire.calls == [[b"1"], [b"2"]]
