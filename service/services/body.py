"""Request bodies as streams: decompressed, bounded, and spooled to files when large."""

from __future__ import annotations

import gzip
import hashlib
import io
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from typing import IO, BinaryIO, cast

from service.services.errors import Problem, malformed, too_large

_GZIP_MAGIC = b"\x1f\x8b"
IN_MEMORY = 1 << 20
_PIECE = 1 << 16
_DIGESTED_AT_ONCE = 1 << 20


class Bounded(io.RawIOBase):
    """A stream of at most `limit` bytes, whose errors are problems for the caller."""

    def __init__(self, source: IO[bytes], limit: int, detail: str = "", given: int = 0) -> None:
        self._source = source
        self._limit = limit
        self._detail = detail
        self._given = given

    def readable(self) -> bool:
        """A raw stream for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`, or raise a `Problem` (400 for bad gzip, 413 beyond the limit)."""
        try:
            piece = self._source.read(len(buffer))
        except EOFError:
            raise malformed("the gzip body is truncated") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise malformed(f"the body is not valid gzip: {error}") from None
        self._given += len(piece)
        refuse_larger(self._given, self._limit, self._detail)
        buffer[: len(piece)] = piece
        return len(piece)


class DigestedBody(io.RawIOBase):
    """A body whose SHA-256 is computed while it is read.

    Attributes
    ----------
    on_read : called after each piece
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.on_read: Callable[[], object] = int

    def readable(self) -> bool:
        """A raw stream, as WSGI's input may be."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`."""
        piece = self._source.read(len(buffer))
        self._digest.update(piece)
        buffer[: len(piece)] = piece
        self.on_read()
        return len(piece)

    def digest(self) -> str:
        """The digest of the whole body, whose rest is read now."""
        while self.read(_DIGESTED_AT_ONCE):
            pass
        return self._digest.hexdigest()


def refuse_larger(size: int | None, limit: int, detail: str = "") -> None:
    """Raise a `Problem` 413 for a body of more than `limit` bytes, received or announced.

    A client that sends ``Expect: 100-continue`` need not send a body whose announced length is
    refused.
    """
    if (size or 0) > limit:
        default = f"the body is larger than {limit} bytes: send it in parts"
        raise too_large(detail or default, limit=limit)


def read_whole(source: IO[bytes], limit: int, detail: str, announced: int | None = None) -> bytes:
    """Return a whole body; raise a `Problem` 413 with this detail beyond `limit` bytes."""
    refuse_larger(announced, limit, detail)
    data = source.read(limit + 1)
    refuse_larger(len(data), limit, detail)
    return data


def bounded(source: BinaryIO, limit: int, detail: str, given: int) -> BinaryIO:
    """Return the rest of a body of at most `limit` bytes, of which `given` have been read."""
    return cast(BinaryIO, io.BufferedReader(Bounded(source, limit, detail, given), _PIECE))


def open_body(source: IO[bytes], encoding: str, limit: int) -> BinaryIO:
    """Return the body as a buffered stream of at most `limit` bytes, after decompression.

    Raises `Problem`: 415 for an encoding other than gzip; 400 and 413 while reading.
    """
    if encoding == "gzip":
        source = cast(IO[bytes], gzip.GzipFile(fileobj=source))
    elif encoding not in ("", "identity"):
        raise Problem(415, f"unsupported Content-Encoding {encoding[:40]!r}; supported: gzip")
    return cast(BinaryIO, io.BufferedReader(Bounded(source, limit), _PIECE))


def starts_like_gzip(start: bytes) -> bool:
    """Whether a file that begins with `start` is gzipped."""
    return start.startswith(_GZIP_MAGIC)


def decompressed(source: BinaryIO, limit: int) -> BinaryIO:
    """Return an uploaded file's content, decompressed when it is gzipped."""
    gzipped = starts_like_gzip(source.read(len(_GZIP_MAGIC)))
    source.seek(0)
    return open_body(source, "gzip" if gzipped else "", limit)


class Spool:
    """A body that can be read more than once: small in memory, large in a temporary file."""

    def __init__(self, source: BinaryIO) -> None:
        self._start = source.read(IN_MEMORY)
        self._file: IO[bytes] | None = None
        if len(self._start) == IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            self._file.write(self._start)
            self._start = b""
            shutil.copyfileobj(source, self._file, _PIECE)
            self._file.flush()

    def open(self) -> BinaryIO:
        """Return a new stream that starts at the first byte."""
        if self._file is None:
            return io.BytesIO(self._start)
        stream = open(os.dup(self._file.fileno()), "rb")  # noqa: SIM115
        stream.seek(0)
        return stream

    def buffer(self) -> bytes | mmap.mmap:
        """Return the whole body; a large one is mapped, not copied."""
        if self._file is None:
            return self._start
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
