"""Writes of one event-loop iteration are sent in one call, in order, and before a close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from service.asgi.transport import CoalescingTransport
from tests.helpers.wire import RecordingTransport


def calls_after(iteration: Callable[[CoalescingTransport], None]) -> list[Any]:
    wire = RecordingTransport()

    async def run() -> None:
        transport = cast(asyncio.Transport, wire)
        iteration(CoalescingTransport(transport, asyncio.get_running_loop(), lambda: False))
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
    wire = RecordingTransport()

    async def run() -> None:
        transport = CoalescingTransport(
            cast(asyncio.Transport, wire), asyncio.get_running_loop(), lambda: False
        )
        for piece in (b"1", b"2"):
            transport.write(piece)
            await asyncio.sleep(0)
        assert transport.get_extra_info("sslcontext") == "SSLCONTEXT"
        assert transport.get_extra_info("peername") is None  # system calls for what nobody needs

    asyncio.run(run())
    assert wire.calls == [[b"1"], [b"2"]]
