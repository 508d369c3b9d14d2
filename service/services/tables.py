"""CSV tables: from bytes to chunks of points, with the cells kept for the answer."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import BinaryIO, NoReturn, TypeVar, cast

import numpy as np

from service.services.body import starts_like_gzip
from service.services.chunks import Cells, Chunk, row_ranges
from service.services.errors import Where, malformed, too_large, unusable

T = TypeVar("T")

DELIMITERS = ";\t,"
LONGEST_LINE = 1 << 20
BOM = b"\xef\xbb\xbf"
_ZIP_MAGIC = b"PK\x03\x04"


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
    names : the d feature names
    lenient : give bad rows a reason instead of raising
    place : for a body that is a part of a table: what its header said
    count_bytes : whether `cuts` will be called

    Raises `Problem`: 400 when it is not a table, 422 when columns are missing or repeated; with
    ``line``.
    """

    def __init__(
        self,
        body: BinaryIO,
        names: Sequence[str],
        *,
        lenient: bool = False,
        place: Place | None = None,
        count_bytes: bool = False,
    ) -> None:
        buffered = io.BufferedReader(cast(io.RawIOBase, body))
        reject_binary(buffered)
        self._names = names
        self._lenient = lenient
        self._held: tuple[int, list[str]] | None = None
        self._position = len(BOM) if buffered.peek(len(BOM)).startswith(BOM) else 0
        text = io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
        lines = bounded_lines(text)
        if count_bytes:
            lines = self._count_bytes(lines)
        if place is None:
            self._start(lines)
        else:
            self._resume(lines, place)
        self._pick = _picker(self._index)

    def _count_bytes(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            size = len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
            self._position += size
            yield line

    def _resume(self, lines: Iterator[str], place: Place) -> None:
        self.columns, self.delimiter = place.columns, place.delimiter
        self._lines_before = place.lines
        self._reader = csv.reader(lines, delimiter=place.delimiter)
        self._index = feature_columns(place.columns, self._names)

    def _start(self, lines: Iterator[str]) -> None:
        first = next(lines, "")
        self.delimiter = next((d for d in DELIMITERS if d in first), ",")
        self._lines_before = 0
        self._reader = csv.reader(chain([first], lines), delimiter=self.delimiter)
        self._match_header()

    def _match_header(self) -> None:
        start = next(self._records(), None)
        if start is None:
            raise unusable("the table is empty", line=1)
        line, cells = start
        header = [cell.strip() for cell in cells]
        if is_header(header, self._names):
            self.columns = header
            self._index = feature_columns(header, self._names)
        else:
            self.columns, self._held = list(self._names), (line, cells)
            self._index = list(range(len(self._names)))

    @property
    def _line(self) -> int:
        return self._lines_before + self._reader.line_num

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
        marks = [(0, 0) if self._held else (self._position, self._line)]
        total = 0
        for total, _ in enumerate(self._counted_records(limit), start=1):
            if total % rows == 0:
                marks.append((self._position, self._line))
        for a, b in row_ranges(total, rows):
            start, lines = marks[a // rows]
            stop = self._position if b == total else marks[b // rows][0]
            yield Cut(start, stop, lines, b - a)

    def _counted_records(self, limit: int) -> Iterator[tuple[int, list[str]]]:
        count = 0
        for record in self._records():
            count += 1
            if count > limit:
                raise too_large(f"more than {limit} rows: send the table in parts", limit=limit)
            yield record
        if not count:
            raise unusable("the table has no data rows", line=self._line)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        held, self._held = self._held, None
        if held:
            yield held
        reader, before, line = self._reader, self._lines_before, self._line
        try:
            for record in reader:
                line = before + reader.line_num
                if record:
                    yield line, record
        except csv.Error as error:
            hint = OPEN_QUOTE.format(line + 1) if self._line > line + 1 else ""
            raise malformed(f"not a CSV record: {error}{hint}", line=self._line) from None

    def _chunk(self, lines: Sequence[int], cells: Cells) -> Chunk:
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

    def _chunk_by_row(self, lines: Sequence[int], cells: Cells) -> Chunk:
        X = np.zeros((len(cells), len(self._names)))
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
            hint = unclosed("".join(record), line)
            reason = f"{len(record)} cells, the table has {len(self.columns)} columns{hint}"
            raise BadRow(reason, line, "")
        return [
            number_in(record[i], line, name)
            for i, name in zip(self._index, self._names, strict=True)
        ]


def _picker(index: list[int]) -> Callable[[list[str]], Sequence[str]]:
    if len(index) == 1:
        only = index[0]
        return lambda record: [record[only]]
    return itemgetter(*index)


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


def is_header(cells: list[str], names: Sequence[str]) -> bool:
    """Whether a table's first row is a header: it has a feature's name, or no number."""
    return bool(set(cells) & set(names)) or not any(_is_number(cell) for cell in cells)


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
        lacking, found = ", ".join(missing)[:200], _printable(", ".join(header)[:200])
        detail = f"missing columns {lacking} (found: {found})"
        raise unusable(detail, line=1, missing=missing)
    for name in names:
        if header.count(name) > 1:
            raise unusable(f"the column {name} appears twice in the header", line=1, column=name)
    return [header.index(name) for name in names]


OPEN_QUOTE = "; a quote opened on line {} may not be closed"


def unclosed(text: str, line: int) -> str:
    """Return a hint when cells that end on `line` hold line breaks, else the empty string."""
    # An open quote also takes the table's last line break.
    breaks = text.removesuffix("\n").count("\n")
    return OPEN_QUOTE.format(line - breaks) if "\n" in text else ""


class BadRow(Exception):
    """A row that cannot be predicted, with its line and the reason."""

    def __init__(self, reason: str, line: int, column: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self._where: Where = {"line": line}
        if column:
            self._where["column"] = column

    def refuse(self) -> NoReturn:
        """Raise it as a `Problem` 422."""
        raise unusable(str(self), **self._where) from None


def number_in(cell: str, line: int, name: str) -> float:
    """Return a cell's number; raise `BadRow` for one that is not a finite number."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        shown = _printable(cell[:40])
        point = "; write decimals with a point" if "," in cell else ""
        hint = unclosed(cell, line) or point
        reason = f"{name} is not a number: {shown!r}{hint}" if cell.strip() else f"{name} is empty"
        raise BadRow(reason, line, name) from None
    if not math.isfinite(number):
        raise BadRow(f"{name} is not a finite number: {cell[:40]!r}", line, name)
    return number


def _printable(text: str) -> str:
    """Return text for a message, with the bytes escaped that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


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
