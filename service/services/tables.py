"""CSV tables: from bytes to chunks of points, with the cells kept for the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import BinaryIO, TypeVar, cast

import numpy as np

from service.services.badrows import (
    OPEN_QUOTE,
    BadRow,
    number_in,
    printable,
    unclosed,
    wrong_width,
)
from service.services.body import starts_like_gzip
from service.services.chunks import Cells, Chunk, row_ranges
from service.services.errors import malformed, too_large, unusable
from service.services.features import Features, UnknownWord

T = TypeVar("T")


Record = tuple[int, list[str]]
"""A line number and the cells."""

DELIMITERS = ";\t,"
LONGEST_LINE = 1 << 20
MOST_BLANK_LINES = 1_000_000
"""Beyond it, half of a table's lines must hold something, as they do where lines end in
carriage return, carriage return and line feed."""
BOM = b"\xef\xbb\xbf"
_ZIP_MAGIC = b"PK\x03\x04"
_HEAD_LINES = 16
"""Blank lines may come before the first line that shows the delimiter."""


class CSVRecords:
    """Reads the records of a CSV body; blank lines are none.

    Bytes that are not UTF-8 become surrogates, which `printable` shows.

    Parameters
    ----------
    delimiter : default: the first of `DELIMITERS` in the first line that is not blank
    lines_before : for a body that is a part of a table: how many lines precede it
    count_bytes : whether `position` is needed

    Attributes
    ----------
    delimiter : between the cells
    position : how many bytes have been read, when they are counted

    Raises `Problem`: 400 for another kind of file, and while reading, for what is not CSV.
    """

    def __init__(
        self,
        body: BinaryIO,
        *,
        delimiter: str = "",
        lines_before: int = 0,
        count_bytes: bool = False,
    ) -> None:
        buffered = io.BufferedReader(cast(io.RawIOBase, body))
        reject_binary(buffered)
        self.position = len(BOM) if buffered.peek(len(BOM)).startswith(BOM) else 0
        text = io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
        lines = bounded_lines(text)
        if count_bytes:
            lines = self._count_bytes(lines)
        if not delimiter:
            delimiter, lines = _delimiter_of(lines)
        self.delimiter = delimiter
        self._lines_before = lines_before
        self._reader = csv.reader(lines, delimiter=delimiter)

    def _count_bytes(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            size = len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
            self.position += size
            yield line

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._lines_before + self._reader.line_num

    def __iter__(self) -> Iterator[Record]:
        reader, before, line, blank = self._reader, self._lines_before, self.line, 0
        try:
            for record in reader:
                line = before + reader.line_num
                if record:
                    yield line, record
                else:
                    blank += 1
                    self._refuse_mostly_blank(blank)
        except csv.Error as error:
            hint = OPEN_QUOTE.format(line + 1) if self.line > line + 1 else ""
            raise malformed(f"not a CSV record: {error}{hint}", line=self.line) from None

    def _refuse_mostly_blank(self, blank: int) -> None:
        """Raise a `Problem` 400 for a body of line breaks, which takes long and gives nothing."""
        if blank > MOST_BLANK_LINES and 2 * blank > self._reader.line_num:
            raise malformed(f"more than {MOST_BLANK_LINES} lines are blank", line=self.line)


def _delimiter_of(lines: Iterator[str]) -> tuple[str, Iterator[str]]:
    head: list[str] = []
    for line in islice(lines, _HEAD_LINES):
        head.append(line)
        if line.strip():
            break
    first = head[-1] if head else ""
    return next((d for d in DELIMITERS if d in first), ","), chain(head, lines)


def reject_binary(body: io.BufferedReader[io.RawIOBase]) -> None:
    """Raise a `Problem` 400 for a body that begins like another kind of file."""
    start = body.peek(4)[:4]
    if starts_like_gzip(start):
        raise malformed("the table looks gzipped: send 'Content-Encoding: gzip' with it", line=1)
    if start == _ZIP_MAGIC:
        raise malformed("this is a zip or xlsx file, not CSV: save the table as CSV", line=1)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in start:
        raise malformed("the table is not UTF-8 but looks like UTF-16: save it as UTF-8", line=1)


def bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines; raise a `Problem` 400 for one that would fill memory."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise malformed(f"a line is longer than {LONGEST_LINE} characters")
        yield line


@dataclass(frozen=True, slots=True)
class Cut:
    """Consecutive rows: bytes from `start` to before `stop`, preceded by `lines` lines."""

    start: int
    stop: int
    lines: int
    rows: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of a table begins that has no header of its own.

    Attributes
    ----------
    columns, delimiter : of the whole table
    lines : how many lines precede the part
    """

    columns: list[str]
    delimiter: str
    lines: int


class Table:
    """A CSV table whose header has been read and matched with the model's features.

    Parameters
    ----------
    body : the bytes, UTF-8
    lenient : give bad rows a reason instead of raising
    place : for a body that is a part of a table: what its header said
    count_bytes : whether `cuts` will be called

    Raises `Problem`: 400 when it is not a table, 422 when columns are missing or repeated; with
    ``line``.
    """

    def __init__(
        self,
        body: BinaryIO,
        features: Features,
        *,
        lenient: bool = False,
        place: Place | None = None,
        count_bytes: bool = False,
    ) -> None:
        self._features = features
        self._lenient = lenient
        self._held: Record | None = None
        if place is None:
            self._source = CSVRecords(body, count_bytes=count_bytes)
            self._match_header()
        else:
            self._source = CSVRecords(body, delimiter=place.delimiter, lines_before=place.lines)
            self.columns = place.columns
            self._index = feature_columns(place.columns, features.names)
        self._pick = _picker([self._index[j] for j in self._numeric])
        self._words = [(self._index[j], features.codes[features.names[j]]) for j in features.words]

    @property
    def delimiter(self) -> str:
        """Between the table's cells."""
        return self._source.delimiter

    @property
    def _numeric(self) -> list[int]:
        """The features that are numbers."""
        return [j for j in range(len(self._index)) if j not in self._features.words]

    def _match_header(self) -> None:
        start = next(iter(self._source), None)
        if start is None:
            raise unusable("the table is empty", line=1)
        line, cells = start
        header = [cell.strip() for cell in cells]
        names = self._features.names
        if is_header(header, self._features):
            self.columns = header
            self._index = feature_columns(header, names)
        else:
            self.columns, self._held = list(names), (line, cells)
            self._index = list(range(len(names)))

    def chunks(self, size: int, limit: int) -> Iterator[Chunk]:
        """Yield the rows in chunks of `size`; what is left over joins the last one.

        Raises `Problem`: 413 beyond `limit` rows, 422 without any.
        """
        for rows in _grouped(self._counted_records(limit), size):
            lines, cells = zip(*rows, strict=True)
            yield self._chunk(lines, list(cells))

    def cuts(self, rows: int, limit: int) -> Iterator[Cut]:
        """Yield where the table can be cut into the same chunks, without reading its numbers.

        Raises `Problem`: 413 beyond `limit` rows, 422 without any, 400 for what is not CSV.
        """
        source = self._source
        marks = [(0, 0) if self._held else (source.position, source.line)]
        total = 0
        for total, _ in enumerate(self._counted_records(limit), start=1):
            if total % rows == 0:
                marks.append((source.position, source.line))
        for a, b in row_ranges(total, rows):
            start, lines = marks[a // rows]
            stop = source.position if b == total else marks[b // rows][0]
            yield Cut(start, stop, lines, b - a)

    def _counted_records(self, limit: int) -> Iterator[Record]:
        held = [self._held] if self._held else []
        count = 0
        for record in chain(held, self._source):
            count += 1
            if count > limit:
                raise too_large(f"more than {limit} rows: send the table in parts", limit=limit)
            yield record
        if not count:
            raise unusable("the table has no data rows", line=self._source.line)

    def _chunk(self, lines: Sequence[int], cells: Cells) -> Chunk:
        if self._words:
            return self._chunk_with_words(lines, cells)
        width = len(self.columns)
        pick, flat = self._pick, list[float]()
        try:
            for record in cells:
                picked = pick(record)
                if len(record) != width or "_" in "".join(picked):
                    raise ValueError
                flat.extend(map(float, picked))
        except (ValueError, IndexError):
            return self._chunk_by_row(lines, cells)
        X = np.array(flat).reshape(len(cells), -1)
        return Chunk(X, cells) if np.isfinite(X).all() else self._chunk_by_row(lines, cells)

    def _chunk_with_words(self, lines: Sequence[int], cells: Cells) -> Chunk:
        width = len(self.columns)
        X = np.empty((len(cells), len(self._index)))
        pick = self._pick
        try:
            for record in cells:
                if len(record) != width or "_" in "".join(pick(record)):
                    raise ValueError
            flat = [float(cell) for record in cells for cell in pick(record)]
            X[:, self._numeric] = np.array(flat).reshape(len(cells), -1)
            for j, (column, codes) in zip(self._features.words, self._words, strict=True):
                X[:, j] = [codes[record[column]] for record in cells]
        except (ValueError, IndexError, KeyError):
            return self._chunk_by_row(lines, cells)
        return Chunk(X, cells) if np.isfinite(X).all() else self._chunk_by_row(lines, cells)

    def _chunk_by_row(self, lines: Sequence[int], cells: Cells) -> Chunk:
        X = np.zeros((len(cells), len(self._index)))
        errors: dict[int, str] = {}
        for i, (line, record) in enumerate(zip(lines, cells, strict=True)):
            try:
                X[i] = self._row(line, record)
            except BadRow as bad:
                if not self._lenient:
                    bad.refuse()
                errors[i] = str(bad)
                record[:] = (record + [""] * len(self.columns))[: len(self.columns)]
        return Chunk(X, cells, errors)

    def _row(self, line: int, record: list[str]) -> list[float]:
        if len(record) != len(self.columns):
            raise BadRow(wrong_width(record, line, len(self.columns)), line, "")
        return [
            self._value(record[i], line, name)
            for i, name in zip(self._index, self._features.names, strict=True)
        ]

    def _value(self, cell: str, line: int, name: str) -> float:
        if name not in self._features.codes:
            return number_in(cell, line, name)
        if not cell.strip():
            raise BadRow(f"{name} is empty", line, name)
        try:
            return self._features.code(name, cell)
        except UnknownWord as unknown:
            raise BadRow(f"{unknown}{unclosed(cell, line)}", line, name) from None


def _picker(index: list[int]) -> Callable[[list[str]], Sequence[str]]:
    if len(index) == 1:
        only = index[0]
        return lambda record: [record[only]]
    return itemgetter(*index) if index else lambda record: ()


def _grouped(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield rows in the parts of `row_ranges`, without knowing how many rows there are."""
    held: list[T] = []
    for row in rows:
        held.append(row)
        if len(held) == 2 * size:
            yield held[:size]
            held = held[size:]
    if held:
        yield held


def is_header(cells: list[str], features: Features) -> bool:
    """Whether a table's first row is a header: it has a feature's name, or no value of one."""
    if set(cells) & set(features.names):
        return True
    return not any(_is_number(cell) or features.is_word(i, cell) for i, cell in enumerate(cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def feature_columns(header: list[str], names: Sequence[str]) -> list[int]:
    """Return the column of each feature; raise a `Problem` 422 for missing or repeated ones."""
    missing = [name for name in names if name not in header]
    if missing:
        lacking, found = ", ".join(missing)[:200], printable(", ".join(header)[:200])
        detail = f"missing columns {lacking} (found: {found})"
        raise unusable(detail, line=1, missing=missing)
    for name in names:
        if header.count(name) > 1:
            raise unusable(f"the column {name} appears twice in the header", line=1, column=name)
    return [header.index(name) for name in names]
