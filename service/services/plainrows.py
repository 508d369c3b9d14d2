"""Rows of plain tables, many at once: lines without quotes, whose features are JSON numbers.

A table may stop being plain at any line: `csvrecords` reads what is left, from the first line of
the part that is not. Both give the same chunks.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from service.model import FloatArray
from service.services.chunks import CHUNK_TILES, Chunk
from service.services.csvrecords import HELD_CHARACTERS

_decode = msgspec.json.Decoder(list[float]).decode

_PIECE = 1 << 16
_LONG = HELD_CHARACTERS // 2
"""More bytes than these are not waited for: the chunk becomes one tile."""

_LONGEST_CELL = 1 << 17
_MINUS_ZERO = re.compile(rb"-0[\s,\]]")
"""Read as an integer, which has no sign."""


class PlainRows(io.RawIOBase):
    """Reads chunks while they are plain; as a stream, it has the bytes that are left.

    Parameters
    ----------
    start, source : the bytes of the rows: those that have been read, and those that follow
    line : how many lines precede them
    delimiter, commas : between the cells, and whether decimals have a comma
    width : the number of columns
    index : the column of each feature

    Attributes
    ----------
    line : how many lines precede the bytes that are left
    """

    def __init__(
        self,
        start: bytes,
        source: io.BufferedReader,
        line: int,
        *,
        delimiter: str,
        commas: bool,
        width: int,
        index: Sequence[int],
    ) -> None:
        self.line = line
        self._data, self._source, self._ended = start, source, False
        self._delimiter, self._commas = delimiter.encode(), commas
        self._width, self._index = width, list(index)
        kept = self._delimiter + b'\n\r"\0'
        self._others = bytes(set(range(256)).difference(kept))
        self._frame = self._delimiter * (width - 1) + b"\n"

    def readable(self) -> bool:
        """A raw stream for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with bytes that are left."""
        piece = self._data[: len(buffer)] or self._source.read1(len(buffer))
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def chunks(self, size: int, limit: int) -> Iterator[Chunk]:
        """Yield chunks of `size` rows while the rows are plain and at most `limit`.

        What is left over joins the last one; long rows come in parts of one tile. At least one
        more such part is left when the rows end to be plain, so that no chunk becomes short.
        """
        block, held, tile = b"", Chunk(np.empty((0, 0))), max(1, size // CHUNK_TILES)
        while self._fill(size) or (self._long and self._fill(size := tile)):
            lines = self._data.split(b"\n", size)
            end = len(self._data) - len(lines.pop())
            chunk = self._chunk(self._data[:end], lines)
            if chunk is None or len(held.X) + size > limit:
                self._data = block + self._data
                return
            if block:
                yield held
                self.line += len(held.X)
                limit -= len(held.X)
            block, held, self._data = self._data[:end], chunk, self._data[end:]
        self._data = block + self._data
        if self._ended and 0 < len(self._data) <= _LONG:
            yield from self._last(size, limit)

    def _fill(self, lines: int) -> bool:
        """Read until there are so many lines, if they are not long."""
        count, data = self._data.count(b"\n"), bytearray(self._data)
        while count < lines and len(data) <= _LONG and not self._ended:
            piece = self._source.read1(_PIECE)
            self._ended = not piece
            count += piece.count(b"\n")
            data += piece
        self._data = bytes(data)
        return count >= lines

    @property
    def _long(self) -> bool:
        """Whether the lines are long, as `csvrecords` would find by counting characters."""
        return not self._ended and self._data.isascii()

    def _last(self, size: int, limit: int) -> Iterator[Chunk]:
        """Yield what is left if it is plain: two chunks when the last line break is missing."""
        block = self._data if self._data.endswith(b"\n") else self._data + b"\n"
        lines = block.split(b"\n")[:-1]
        chunk = self._chunk(block, lines) if len(lines) <= limit else None
        if chunk is not None:
            self._data = b""
            self.line += len(lines)
            first = size if len(lines) == 2 * size else 0
            for rows in (slice(0, first), slice(first, None))[not first :]:
                yield Chunk(chunk.X[rows], lines=(chunk.lines or [])[rows])

    def _chunk(self, block: bytes, lines: list[bytes]) -> Chunk | None:
        """Return the rows of whole lines, or None when they are not plain."""
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
            lines = block.split(b"\n")[:-1]
        if block.translate(None, self._others) != self._frame * len(lines):
            return None
        if len(block) > _LONGEST_CELL and max(map(len, lines)) > _LONGEST_CELL:
            return None
        X = self._numbers(block, len(lines))
        return None if X is None else Chunk(X, lines=lines)

    def _numbers(self, block: bytes, rows: int) -> FloatArray | None:
        cells = block[:-1].replace(b"\n", self._delimiter)
        whole = self._index == list(range(self._width))
        if not whole:
            parts = cells.split(self._delimiter)
            cells = self._delimiter.join(
                [cell for j in self._index for cell in parts[j :: self._width]]
            )
        if self._commas:
            if b"." in cells:
                return None
            cells = cells.replace(b",", b".")
        if self._delimiter != b",":
            cells = cells.replace(self._delimiter, b",")
        text = b"[%b]" % cells
        if _MINUS_ZERO.search(text):
            return None
        try:
            numbers = _decode(text)
        except msgspec.DecodeError:  # also for a number that is not finite
            return None
        if len(numbers) != rows * len(self._index):
            return None
        # A quarter of the time of `np.array`, which asks each number for its type.
        flat = np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers))
        if whole:
            return flat.reshape(rows, -1)
        return np.ascontiguousarray(flat.reshape(-1, rows).T)
