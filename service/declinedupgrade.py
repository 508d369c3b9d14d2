"""An upgrade that a client offers is not taken: its request is read without the offer.

Java's HTTP client offers HTTP/2 with every request. The parser skips the body of such a request,
which would then be read as a request of its own (RFC 9110, section 7.8, and RFC 9113, 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable

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
