"""Ignore Upgrade headers and parse the request without them.

Java's HTTP client offers HTTP/2 with every request. The parser skips the body of such a request,
which would then be parsed as a request of its own (RFC 9110, section 7.8, and RFC 9113, 3.1).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, cast

from httptools import HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.services.errors import Problem

Header = tuple[bytes, bytes]

_UPGRADE_HEADERS = (b"upgrade", b"http2-settings")


def head_without_upgrade(method: str, url: bytes, version: str, headers: Iterable[Header]) -> bytes:
    """Encode a request's head without the headers that offer an upgrade; names in lower case."""
    lines = [f"{method} ".encode() + url + f" HTTP/{version}".encode()]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() not in _UPGRADE_HEADERS)
        if name not in _UPGRADE_HEADERS:
            lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


class UpgradeIgnoringProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with its hook for WebSockets used to stay with HTTP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = self._unparsed = b""

    @property
    def will_parse_again(self) -> bool:
        """Whether the request just parsed offers an upgrade, so that it is parsed once more."""
        return bool(self.parser.should_upgrade())

    def data_received(self, data: bytes) -> None:
        """Parse `data`; after each head that offers an upgrade, parse that and the rest again."""
        self._unparsed = data
        while self._unparsed:
            self._received, self._unparsed = self._unparsed, b""
            super().data_received(self._received)
        self._received = b""  # an idle connection keeps nothing

    def _should_upgrade(self) -> bool:
        return True

    def handle_websocket_upgrade(self) -> None:
        """Continue with the request without its upgrade, whatever protocol that named."""
        method, version = self.scope["method"], self.scope["http_version"]
        if method == "CONNECT":
            self.refuse(Problem(405, "method CONNECT is not allowed: this server is not a proxy"))
            return
        upgrade = cast(HttpParserUpgrade, sys.exception())
        head = head_without_upgrade(method, self.url, version, self.headers)
        self._unparsed = head + self._received[upgrade.args[0] :]

    def refuse(self, problem: Problem) -> None:
        """Send a problem without asking the application, and close the connection."""
        raise NotImplementedError
