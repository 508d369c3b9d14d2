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
_MOST_DIGITS = 19
_SOON = 1 << 10
"""Bytes that even a slow body brings within seconds: servers wait for all that is asked for."""


def length_in(header: bytes) -> int | None:
    """Return the length that a header's value says, or None if no body can have it.

    Python refuses to convert thousands of digits.
    """
    return int(header) if header.isdigit() and len(header) <= _MOST_DIGITS else None


class Bounded(io.RawIOBase):
    """A stream of at most `limit` bytes, whose errors are problems for the caller.

    Parameters
    ----------
    source : what is read, perhaps a decoder of a content coding
    limit : the most bytes
    detail : of the problem beyond the limit
    given : how many bytes have been read before
    coding : the content coding that `source` decodes
    """

    def __init__(
        self,
        source: IO[bytes],
        limit: int,
        detail: str = "",
        given: int = 0,
        coding: str = "",
    ) -> None:
        self._source = source
        self._limit = limit
        self._detail = detail
        self._given = given
        self._coding = coding

    def readable(self) -> bool:
        """A raw stream for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`, or raise a `Problem` (400 for bad compression, 413 beyond the limit)."""
        try:
            piece = self._source.read(len(buffer))
        except EOFError:
            raise malformed(f"the {self._coding} body is truncated") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise malformed(f"the body is not valid {self._coding}: {error}") from None
        self._given += len(piece)
        refuse_larger(self._given, self._limit, self._detail)
        buffer[: len(piece)] = piece
        return len(piece)


class _Inflated(io.RawIOBase):
    """A body in the coding ``deflate``: a zlib stream, or as some clients send it, one without it.

    RFC 9110 (8.4.1.2) defines the first, and notes the second.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._waiting = source.read(_PIECE)
        self._empty = not self._waiting
        has_header = self._waiting[:1] and self._waiting[0] & 0x0F == zlib.DEFLATED
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)

    def readable(self) -> bool:
        """A raw stream, which `Bounded` reads."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`; raise `EOFError` or `zlib.error` for what cannot be decompressed."""
        piece = b""
        while not (piece or self._empty or self._inflate.eof):
            if not self._waiting:
                self._waiting = self._source.read(_PIECE)
                if not self._waiting:
                    raise EOFError
            piece = self._inflate.decompress(self._waiting, len(buffer))
            self._waiting = self._inflate.unconsumed_tail
        if self._inflate.eof and not piece:
            self._refuse_more()
        buffer[: len(piece)] = piece
        return len(piece)

    def _refuse_more(self) -> None:
        if self._inflate.unused_data or self._source.read(1):
            raise zlib.error("bytes follow its end")


class DigestedBody(io.RawIOBase):
    """A body whose SHA-256 is computed while it is read.

    Attributes
    ----------
    on_read : called after each piece, of at most `_SOON` bytes
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
        filled = 0
        while filled < len(buffer):
            piece = self._source.read(min(len(buffer) - filled, _SOON))
            if not piece:
                break
            self._digest.update(piece)
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            self.on_read()
        return filled

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
    return _buffered(Bounded(source, limit, detail, given))


def open_body(source: IO[bytes], encoding: str, limit: int) -> BinaryIO:
    """Return the body as a buffered stream of at most `limit` bytes, after decompression.

    Parameters
    ----------
    encoding : the header Content-Encoding: codings in the order in which they were applied
    limit : of the content, and of what each of several codings leaves

    Raises `Problem`: 415 for an unsupported coding; 400 and 413 while reading.
    """
    body = source
    codings = content_codings(encoding)
    for coding in reversed(codings):
        body = _buffered(Bounded(_DECODERS[coding](body), limit, coding=coding))
    return cast(BinaryIO, body) if codings else _buffered(Bounded(source, limit))


def content_codings(encoding: str) -> list[str]:
    """Return the codings in a header Content-Encoding, without those that change nothing.

    Raises `Problem`: 415 for an unsupported coding, or for too many.
    """
    given = [coding.strip().lower() for coding in encoding.split(",")]
    codings = [coding for coding in given if coding not in ("", "identity")]
    unknown = [coding for coding in codings if coding not in _DECODERS]
    if not unknown and len(codings) <= _MOST_CODINGS:
        return codings
    what = f"{unknown[0][:40]!r}" if unknown else f"with {len(codings)} codings"
    raise Problem(
        415,
        f"unsupported Content-Encoding {what}; supported: gzip, deflate and identity, "
        f"at most {_MOST_CODINGS} of them one after the other",
        headers={"Accept-Encoding": "gzip, deflate"},
    )


def _gunzipped(source: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=source))


def _inflated(source: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], _Inflated(source))


_MOST_CODINGS = 2
_DECODERS = {"gzip": _gunzipped, "x-gzip": _gunzipped, "deflate": _inflated}


def _buffered(stream: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(stream, _PIECE))


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
