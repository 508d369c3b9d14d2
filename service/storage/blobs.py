"""Named blobs of bytes: the interface, and the one that a URL names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

PIECE = 1 << 20
"""Bytes that are moved at once: large blobs never lie in memory as a whole."""


class StorageError(Exception):
    """The storage cannot be reached or cannot be written now."""


class BlobMissing(KeyError):
    """No blob has this name."""


class Blobs(ABC):
    """Blobs by name; a name is made of letters, digits, dots, hyphens and slashes.

    A blob appears as a whole when it has been written, or not at all. Every method may raise
    `StorageError`.
    """

    @abstractmethod
    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write a blob from its pieces, and return its size in bytes."""

    @abstractmethod
    def size(self, name: str) -> int:
        """The size in bytes; raises `BlobMissing`."""

    @abstractmethod
    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; raises `BlobMissing`."""

    @abstractmethod
    def names(self, prefix: str) -> list[str]:
        """The names that begin with `prefix`, which ends with a slash, sorted."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a blob, if there is one."""

    def local_path(self, name: str) -> Path | None:
        """The file that is the blob, where blobs are files here."""
        return None

    def whole(self, name: str) -> bytes:
        """All bytes of a small blob; raises `BlobMissing`."""
        return self.read(name, 0, self.size(name))

    def pieces(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, or to the end, piece by piece."""
        end = self.size(name) if stop is None else stop
        for a in range(start, end, PIECE):
            yield self.read(name, a, min(a + PIECE, end))


def resized(pieces: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
