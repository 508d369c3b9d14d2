"""Rows of plain tables, many at once: lines without quotes, whose features are JSON numbers.

A table may stop being plain at any line: `csvrecords` reads what is left, from the first line of
the part that is not. Both give the same chunks.
"""

from __future__ import annotations

import io
import math
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence

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
_LINE_BREAK = ord("\n")
_MINUS_ZERO = re.compile(rb"-0[\s,\]]")
"""Read as an integer, which has no sign."""

_MOST_KEPT = 1 << 27
"""Bytes of numbers that are kept of one table."""

Kept = tuple[int, FloatArray]
"""How many bytes of the body some rows take, and their numbers."""


class KeptRows:
    """The numbers of plain rows, in a temporary file, for the second time that a table is read.

    They take no more bytes than the rows' text, or `_MOST_KEPT`; the rest is read anew.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._rows: list[tuple[int, tuple[int, ...]]] = []
        self._room = _MOST_KEPT

    def add(self, chunk: Chunk) -> None:
        """Keep the next chunk of the table, if those before it could be kept."""
        room = self._room - chunk.X.nbytes
        if chunk.text is None or chunk.X.nbytes > chunk.size or room < 0:
            self._room = 0
            return
        self._file.write(chunk.X.data)
        self._rows.append((chunk.size, chunk.X.shape))
        self._room = room

    def __iter__(self) -> Iterator[Kept]:
        self._file.seek(0)
        for size, shape in self._rows:
            numbers = np.frombuffer(self._file.read(8 * math.prod(shape)))
            yield size, numbers.reshape(shape)


def _line_breaks(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_BREAK))


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

    def readable(self) -> bool:
        """A raw stream for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with bytes that are left."""
        piece = self._data[: len(buffer)] or self._source.read1(len(buffer))
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def chunks(self, size: int, limit: int, kept: Iterable[Kept] = ()) -> Iterator[Chunk]:
        """Yield chunks of `size` rows while the rows are plain and at most `limit`.

        What is left over joins the last one; long rows come in parts of one tile. At least one
        more such part is left when the rows end to be plain, so that no chunk becomes short.

        Parameters
        ----------
        kept : what has been kept of the first chunks, when the table has been read before
        """
        for length, X in kept:
            yield Chunk(X, text=self._text(self._taken(length)))
            self.line += len(X)
            limit -= len(X)
        block, held, tile = b"", Chunk(np.empty((0, 0))), max(1, size // CHUNK_TILES)
        while self._fill(size) or (self._long and self._fill(size := tile)):
            chunk = self._chunk(self._data, size)
            if chunk is None or len(held.X) + size > limit:
                self._data = block + self._data
                return
            if block:
                yield held
                self.line += len(held.X)
                limit -= len(held.X)
            block, held, self._data = self._data[: chunk.size], chunk, self._data[chunk.size :]
        self._data = block + self._data
        if self._ended and 0 < len(self._data) <= _LONG:
            yield from self._last(size, limit)

    def _taken(self, size: int) -> bytes:
        """Return the next bytes that are left."""
        if len(self._data) < size:
            self._data += self._source.read(size - len(self._data))
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _fill(self, lines: int) -> bool:
        """Read until there are so many lines, if they are not long."""
        pieces, size, count = [self._data], len(self._data), _line_breaks(self._data)
        while count < lines and size <= _LONG and not self._ended:
            piece = self._source.read1(_PIECE)
            self._ended = not piece
            pieces.append(piece)
            size += len(piece)
            count += _line_breaks(piece)
        self._data = b"".join(pieces)
        return count >= lines

    @property
    def _long(self) -> bool:
        """Whether the lines are long, as `csvrecords` would find by counting characters."""
        return not self._ended and self._data.isascii()

    def _last(self, size: int, limit: int) -> Iterator[Chunk]:
        """Yield what is left if it is plain: two chunks when the last line break is missing."""
        data = self._data if self._data.endswith(b"\n") else self._data + b"\n"
        rows, chunks = _line_breaks(data), list[Chunk]()
        if rows > limit:
            return
        for part in (size, size) if rows == 2 * size else (rows,):
            chunk = self._chunk(data, part)
            if chunk is None:
                return
            chunks.append(chunk)
            data = data[chunk.size :]
        self._data = b""
        self.line += rows
        yield from chunks

    def _chunk(self, data: bytes, rows: int) -> Chunk | None:
        """Return the first rows of whole lines, or None when they are not plain."""
        end = self._end(data, rows)
        if not end:
            return None
        text = self._text(data[:end])
        if b'"' in text or b"\r" in text or b"\0" in text:
            return None
        X = self._numbers(text, rows)
        return None if X is None else Chunk(X, text=text, size=end)

    def _end(self, data: bytes, rows: int) -> int:
        """Return how many bytes so many rows take, or 0 unless each is a line of `width` cells."""
        characters = np.frombuffer(data, np.uint8)
        ends = characters == _LINE_BREAK
        marks = np.flatnonzero(ends | (characters == ord(self._delimiter)))[: rows * self._width]
        if len(marks) < rows * self._width:
            return 0
        ends = ends[marks].reshape(rows, self._width)
        if np.count_nonzero(ends) > rows or not ends[:, -1].all():
            return 0
        last = marks[self._width - 1 :: self._width]
        longest = np.diff(last, prepend=-1).max()
        return int(last[-1]) + 1 if longest <= _LONGEST_CELL else 0

    def _text(self, block: bytes) -> bytes:
        """Return rows as an answer repeats them."""
        text = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        return text if text.endswith(b"\n") else text + b"\n"

    def _numbers(self, text: bytes, rows: int) -> FloatArray | None:
        cells = text[:-1].replace(b"\n", self._delimiter)
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
        array = b"[%b]" % cells
        try:
            numbers = _decode(array)
        except msgspec.DecodeError:  # also for a number that is not finite
            return None
        if len(numbers) != rows * len(self._index):
            return None
        # A quarter of the time of `np.array`, which asks each number for its type.
        flat = np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers))
        if not flat.all() and _MINUS_ZERO.search(array):
            return None
        if whole:
            return flat.reshape(rows, -1)
        return np.ascontiguousarray(flat.reshape(-1, rows).T)
