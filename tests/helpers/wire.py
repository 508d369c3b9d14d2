"""Read and write HTTP as raw bytes, over a socket or without one."""

from __future__ import annotations

import json
import socket
from typing import Any, BinaryIO

BODY = json.dumps({"lat": -20.1, "long": 181.5, "depth": 500, "stations": 40}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def read_answer(wire: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read the last response on a connection: status, headers, body."""
    return read_next(wire.makefile("rb"))


def read_next(stream: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """Read the next response of a stream: status, headers, body."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return status, headers, body
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def read_to_the_end(wire: socket.socket) -> bytes:
    data = b""
    while piece := wire.recv(65536):
        data += piece
    return data


class RecordingTransport:
    """The transport of a connection without a socket, which records the calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write(self, data: bytes) -> None:
        self.calls.append([data])

    def writelines(self, pieces: list[bytes]) -> None:
        self.calls.append(list(pieces))

    def close(self) -> None:
        self.closing = True
        self.calls.append("closed")

    def get_extra_info(self, name: str, default: object = None) -> str:
        return name.upper()

    @property
    def written(self) -> bytes:
        """All that was written."""
        return b"".join(piece for call in self.calls if call != "closed" for piece in call)
