"""The blobs of one job: its input, its plan, its results."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from service.storage.blobs import PIECE, Blobs


class JobBlobs:
    """The blobs of one job, by name.

    Attributes
    ----------
    store : where the blobs are stored, with those of all other jobs
    id : the job's id
    """

    def __init__(self, store: Blobs, id: str) -> None:
        self.store = store
        self.id = id

    def name(self, blob: str) -> str:
        """The name in the store of a blob of this job."""
        return f"jobs/{self.id}/{blob}"

    def write(self, blob: str, data: bytes) -> None:
        """Write a small blob."""
        self.store.write(self.name(blob), [data])

    def write_pieces(self, blob: str, pieces: Iterator[bytes]) -> int:
        """Write a blob piece by piece and return its size in bytes."""
        return self.store.write(self.name(blob), pieces)

    def read_all(self, blob: str) -> bytes:
        """All bytes of a small blob; raises `BlobMissing`."""
        return self.store.read_all(self.name(blob))

    def read(self, blob: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; raises `BlobMissing`."""
        return self.store.read(self.name(blob), start, stop)

    def pieces(self, blob: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, or to the end, piece by piece."""
        return self.store.pieces(self.name(blob), start, stop)

    def size(self, blob: str) -> int:
        """The size in bytes; raises `BlobMissing`."""
        return self.store.size(self.name(blob))

    def delete(self, blob: str) -> None:
        """Delete a blob, if it exists."""
        self.store.delete(self.name(blob))

    def open(self, blob: str, start: int = 0, stop: int | None = None) -> BinaryIO:
        """A blob, or a part of it, as a buffered stream."""
        stream = _Stream(self.pieces(blob, start, stop))
        return cast(BinaryIO, io.BufferedReader(stream, PIECE))


class _Stream(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        given = self._rest[: len(buffer)]
        self._rest = self._rest[len(given) :]
        buffer[: len(given)] = given
        return len(given)
