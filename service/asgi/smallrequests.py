"""Which requests the event loop may answer itself, and their bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from service.services.negotiation import JSON_ACCEPTS

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
IsSmall = Callable[[Scope, dict[bytes, bytes]], bool]

SMALL_BODY = 16 << 10
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_BODY_OR_PREFERENCE = frozenset({b"content-length", b"transfer-encoding", b"prefer"})


def is_small_prediction(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether it is JSON, or a query string, of few points, and asks for JSON."""
    if len(headers) != len(scope["headers"]):  # a repeated header: let Flask combine them
        return False
    if headers.get(b"accept", b"").decode("latin-1") not in JSON_ACCEPTS:
        return False
    if scope["method"] == "GET":
        return not _BODY_OR_PREFERENCE & headers.keys()
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and headers.get(b"content-type", b"application/json") in _JSON_TYPES
        and length.isdigit()
        and int(length) <= SMALL_BODY
        and not scope["query_string"]
        and b"content-encoding" not in headers
        and b"prefer" not in headers
    )


def is_small_call(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """UM-Bridge's clients send JSON under any Content-Type, or none."""
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and length.isdigit()
        and int(length) <= SMALL_BODY
        and b"content-encoding" not in headers
    )


IS_SMALL: dict[str, IsSmall] = {
    "/predict": is_small_prediction,
    "/Evaluate": is_small_call,  # as common where UM-Bridge is spoken
}


async def whole_body(receive: Receive) -> bytes:
    """All of a small body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that has been read once more, then whatever comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay
