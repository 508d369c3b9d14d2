"""What is written in one turn of the loop leaves in one call, in order, before a close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from service.asgi.transport import OneWrite


class Wire:
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def writelines(self, pieces: list[bytes]) -> None:
        self.said.append(list(pieces))

    def close(self) -> None:
        self.closing = True
        self.said.append("closed")

    def get_extra_info(self, name: str, default: object = None) -> str:
        return name.upper()


def after(turn: Callable[[OneWrite], None]) -> list[Any]:
    wire = Wire()

    async def run() -> None:
        transport = cast(asyncio.Transport, wire)
        turn(OneWrite(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(run())
    return wire.said


def test_two_writes_of_a_turn_are_one_call() -> None:
    def turn(one: OneWrite) -> None:
        one.write(b"head")
        one.write(b"body")

    assert after(turn) == [[b"head", b"body"]]


def test_what_was_written_is_sent_before_the_end() -> None:
    def turn(one: OneWrite) -> None:
        one.write(b"last words")
        one.close()

    assert after(turn) == [[b"last words"], "closed"]


def test_nothing_is_sent_after_the_end() -> None:
    def turn(one: OneWrite) -> None:
        one.close()
        one.write(b"too late")

    assert after(turn) == ["closed"]


def test_turns_follow_each_other() -> None:
    wire = Wire()

    async def run() -> None:
        one = OneWrite(cast(asyncio.Transport, wire), asyncio.get_running_loop())
        for piece in (b"1", b"2"):
            one.write(piece)
            await asyncio.sleep(0)
        assert one.get_extra_info("sslcontext") == "SSLCONTEXT"
        assert one.get_extra_info("peername") is None  # it costs system calls, and nobody asks

    asyncio.run(run())
    assert wire.said == [[b"1"], [b"2"]]
