"""The blobs of one job: its input, its plan, its results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, cast

from service.storage.blobs import PIECE, Blobs


class JobBlobs:
    """The blobs of one job in the store, by name; those read must exist, else `BlobMissing`.

    Parameters
    ----------
    before_write : called with the size of each piece; what it raises ends the writing
    """

    def __init__(self, store: Blobs, id: str, before_write: Callable[[int], object] = int) -> None:
        self._store = store
        self._prefix = f"jobs/{id}/"
        self._before_write = before_write

    def write(self, blob: str, data: bytes | Iterator[bytes]) -> int:
        """Write a blob, whole or piece by piece, and return its size in bytes."""
        pieces = [data] if isinstance(data, bytes) else data
        return self._store.write(self._prefix + blob, self._announced(pieces))

    def _announced(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._before_write(len(piece))
            yield piece

    def read_all(self, blob: str) -> bytes:
        """All bytes of a small blob."""
        return self._store.read_all(self._prefix + blob)

    def read(self, blob: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`."""
        return self._store.read(self._prefix + blob, start, stop)

    def pieces(self, blob: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, or to the end, piece by piece."""
        return self._store.pieces(self._prefix + blob, start, stop)

    def size(self, blob: str) -> int:
        """The size in bytes."""
        return self._store.size(self._prefix + blob)

    def delete(self, blob: str) -> None:
        """Delete a blob, if it exists."""
        self._store.delete(self._prefix + blob)

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
