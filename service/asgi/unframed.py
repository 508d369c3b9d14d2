"""Answers to HTTP/1.0: such a client knows no chunks, the body ends with the connection."""

from __future__ import annotations

from typing import Any


def send_unframed(cycle: Any) -> None:
    """Have uvicorn's cycle of one request send bodies of unknown length as they are.

    RFC 9112, section 6.1. Uvicorn closes the connection after an answer to HTTP/1.0.
    """
    send = cycle.send
    cycle.chunked_encoding = False

    async def unframed(message: dict[str, Any]) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = unframed
