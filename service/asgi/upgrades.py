"""An upgrade that a client offers is not taken: its request is read without the offer.

Java's HTTP client offers HTTP/2 with every request. The parser skips the body of such a request,
which would then be read as a request of its own (RFC 9110, section 7.8, and RFC 9113, 3.1).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, cast

from httptools import HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.services.problems import Problem

Header = tuple[bytes, bytes]

_OFFERS = (b"upgrade", b"http2-settings")


def head_without_offer(method: str, url: bytes, version: str, headers: Iterable[Header]) -> bytes:
    """The head as the client would have sent it without the offer; names in lower case."""
    lines = [f"{method} ".encode() + url + f" HTTP/{version}".encode()]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() not in _OFFERS)
        if name not in _OFFERS:
            lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


class DecliningProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, whose way to a WebSocket leads back to HTTP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._piece = self._unread = b""

    @property
    def is_declining(self) -> bool:
        """Whether what was parsed last is a request that will be read again."""
        return bool(self.parser.should_upgrade())

    def data_received(self, data: bytes) -> None:
        """Read a piece, and again what follows each head with an offer in it."""
        self._unread = data
        while self._unread:
            self._piece, self._unread = self._unread, b""
            super().data_received(self._piece)
        self._piece = b""  # an idle connection keeps nothing

    def _should_upgrade(self) -> bool:
        return True

    def handle_websocket_upgrade(self) -> None:
        """Go on with the request without its offer, to whatever that was."""
        method, version = self.scope["method"], self.scope["http_version"]
        if method == "CONNECT":
            self.refuse(Problem(405, "CONNECT is not allowed here: this is no proxy"))
            return
        upgrade = cast(HttpParserUpgrade, sys.exception())
        head = head_without_offer(method, self.url, version, self.headers)
        self._unread = head + self._piece[upgrade.args[0] :]

    def refuse(self, problem: Problem) -> None:
        """Send a problem past the application, and close."""
        raise NotImplementedError
