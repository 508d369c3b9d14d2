"""The blobs of one job: its input, its plan, its results."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from service.storage.blobs import PIECE, Blobs


class Job:
    """The blobs of one job, by name."""

    def __init__(self, blobs: Blobs, id: str) -> None:
        self.blobs = blobs
        self.folder = f"jobs/{id}/"

    def name(self, blob: str) -> str:
        """The whole name of a blob of this job."""
        return self.folder + blob

    def write(self, blob: str, data: bytes) -> None:
        """Write a blob that is in memory."""
        self.blobs.write(self.name(blob), [data])


class Stream(io.RawIOBase):
    """A blob, or a part of one, as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def readable(self) -> bool:
        """A raw stream for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the next piece."""
        if not self._held:
            self._held = next(self._pieces, b"")
        taken = self._held[: len(buffer)]
        self._held = self._held[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def opened(blobs: Blobs, name: str, start: int = 0, stop: int | None = None) -> BinaryIO:
    """A blob as a buffered stream."""
    return cast(BinaryIO, io.BufferedReader(Stream(blobs.pieces(name, start, stop)), PIECE))
