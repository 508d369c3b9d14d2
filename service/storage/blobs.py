"""The interface of a storage: named blobs of bytes."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

PIECE = 1 << 20
"""Bytes per transfer: a large blob is never in memory as a whole."""

ABANDONED_SECONDS = 3600
"""An upload that has not written for so long is over: its connection would have timed out."""


class StorageError(Exception):
    """The storage cannot be reached, read or written."""


class StorageFull(StorageError):
    """The storage has no room for more."""


class BlobMissing(KeyError):
    """No blob has this name."""


@contextmanager
def storage_errors(
    doing: str,
    name: str,
    kind: type[Exception] = OSError,
    out_of_room: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Raise `StorageError`, `StorageFull` or `BlobMissing` instead of a driver's errors.

    Parameters
    ----------
    kind : the class of all errors of the driver
    out_of_room : those of them that say that there is no room
    """
    try:
        yield
    except kind as error:
        if doing == "read" and isinstance(error, FileNotFoundError):
            raise BlobMissing(name) from None
        full = isinstance(error, out_of_room) or getattr(error, "errno", 0) in _FULL
        raise (StorageFull if full else StorageError)(f"cannot {doing} {name}: {error}") from error


class Blobs(ABC):
    """Named blobs; a name consists of letters, digits, dots, hyphens and slashes.

    A blob becomes visible only when it is complete. Every method may raise `StorageError`.
    """

    @abstractmethod
    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write a blob from its pieces, and return its size in bytes."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Return the size in bytes, or raise `BlobMissing`."""

    @abstractmethod
    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, or raise `BlobMissing`."""

    @abstractmethod
    def names(self, prefix: str) -> list[str]:
        """Return the sorted names that begin with `prefix`, which ends with a slash."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a blob if it exists."""

    def delete_abandoned(self, older_than: float) -> None:  # noqa: B027 - most have nothing to do
        """Delete what writers left that were killed, if it is older than so many seconds."""

    def local_path(self, name: str) -> Path | None:
        """Return the blob's file if blobs are local files, else None."""
        return None

    def read_all(self, name: str) -> bytes:
        """Return all bytes of a small blob, or raise `BlobMissing`."""
        return self.read(name, 0, self.size(name))

    def pieces(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, or to the end, piece by piece."""
        end = self.size(name) if stop is None else stop
        for a in range(start, end, PIECE):
            yield self.read(name, a, min(a + PIECE, end))


def resized(pieces: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """Yield the same bytes in pieces of `size`, the last one shorter."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
