"""CSV tables: from bytes to chunks of points, with the cells kept for the answer."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import BinaryIO, cast

import numpy as np

from service.model import FloatArray
from service.services.badrows import (
    BadRow,
    has_decimal_commas,
    number_in,
    unclosed,
    wrong_width,
)
from service.services.chunks import CHUNK_TILES, Cells, Chunk, row_ranges
from service.services.csvrecords import (
    HELD_CHARACTERS,
    CSVRecords,
    Record,
    feature_columns,
    header_names,
    is_header,
    refuse_numbered,
)
from service.services.errors import too_large, unusable
from service.services.features import Features, UnknownWord
from service.services.options import PLAIN, Options
from service.services.parsing import give_back_pieces
from service.services.plainrows import Kept, PlainRows


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
    columns, delimiter, commas : of the whole table
    lines : how many lines precede the part
    """

    columns: list[str]
    delimiter: str
    commas: bool
    lines: int


class Table:
    """A CSV table whose header has been read and matched with the model's features.

    Parameters
    ----------
    body : the bytes, UTF-8
    options : what to do with bad rows, which columns hold the features, and the decimal sign
    place : for a body that is a part of a table: what its header said
    count_bytes : whether `cuts` will be called

    Attributes
    ----------
    columns : the names in the header, or those of the features
    commas : whether decimals have a comma, which is seen in the first rows unless it is said

    Raises `Problem`: 400 when it is not a table, 422 when columns are missing or repeated; with
    ``line``.
    """

    def __init__(
        self,
        body: BinaryIO,
        features: Features,
        options: Options = PLAIN,
        *,
        place: Place | None = None,
        count_bytes: bool = False,
    ) -> None:
        self._features = features
        self._on_bad_row = options.on_bad_row
        self._held: Record | None = None
        self._whole = place is None
        if place is None:
            self._source = CSVRecords(body, count_bytes=count_bytes)
            self._match_header(options)
            self.commas = self._has_decimal_commas(options)
        else:
            self._source = CSVRecords(body, delimiter=place.delimiter, lines_before=place.lines)
            self.columns, self.commas = place.columns, place.commas
            self._index = feature_columns(place.columns, features, options)
        self._pick = _picker([self._index[j] for j in self._numeric], commas=self.commas)
        self._words = [(self._index[j], features.codes[features.names[j]]) for j in features.words]

    @property
    def delimiter(self) -> str:
        """Between the table's cells."""
        return self._source.delimiter

    @property
    def _numeric(self) -> list[int]:
        """The features that are numbers."""
        return [j for j in range(len(self._index)) if j not in self._features.words]

    def _match_header(self, options: Options) -> None:
        start = next(iter(self._source), None)
        if start is None:
            raise unusable("the table is empty", line=1)
        line, cells = start
        header = header_names(cells)
        if options.columns or is_header(header, self._features):
            self.columns = header
            self._index = feature_columns(header, self._features, options, line)
            return
        refuse_numbered(header, self._features.names)
        self.columns, self._held = list(self._features.names), (line, cells)
        self._index = list(range(len(self.columns)))

    def _has_decimal_commas(self, options: Options) -> bool:
        if options.decimal != "auto" or self.delimiter == ",":
            return options.decimal == "comma"
        width = len(self.columns)
        rows = csv.reader(self._source.head, delimiter=self.delimiter)
        with suppress(csv.Error):  # which the records say, with their line
            return has_decimal_commas(
                row[self._index[j]] for row in rows if len(row) == width for j in self._numeric
            )
        return False

    def chunks(self, size: int, limit: int, kept: Iterable[Kept] = ()) -> Iterator[Chunk]:
        """Yield the rows in chunks of `size`; what is left over joins the last one.

        Rows that are dropped leave no gap: the chunks are those of a table without them. What has
        been `kept` of a table that is read once more is not read again.

        Raises `Problem`: 413 beyond `limit` rows, 422 without any.
        """
        chunks = self._chunks(size, limit, kept)
        if self._on_bad_row != "drop":
            yield from chunks
            return
        good = _GoodRows(size)
        for chunk in chunks:
            yield from good.add(chunk)
        yield from good.end(refuse_none=self._whole)

    def _chunks(self, size: int, limit: int, kept: Iterable[Kept]) -> Iterator[Chunk]:
        done = 0
        for chunk in self._plain_chunks(size, limit, kept):
            done += len(chunk.X)
            yield chunk
        for rows in self._grouped(self._counted_records(limit, done), size):
            lines, cells = zip(*rows, strict=True)
            yield self._chunk(lines, list(cells))

    def _plain_chunks(self, size: int, limit: int, kept: Iterable[Kept]) -> Iterator[Chunk]:
        """Yield the chunks before the first that is not plain; the source has what is left."""
        source, delimiter = self._source, self.delimiter
        lines = 0 if self._held else source.lines_read
        other = self._words or self._on_bad_row == "drop" or (self.commas and delimiter == ",")
        following = None if other else source.after(lines)
        if following is None:
            return
        line = source.line - source.lines_read + lines
        plain = PlainRows(
            *following,
            line,
            delimiter=delimiter,
            commas=self.commas,
            width=len(self.columns),
            index=self._index,
        )
        yield from plain.chunks(size, limit, kept)
        self._held = None
        self._source = CSVRecords(
            cast(BinaryIO, plain), delimiter=delimiter, lines_before=plain.line
        )

    def cuts(self, rows: int, limit: int) -> Iterator[Cut]:
        """Yield where the table can be cut into the same chunks, without reading its numbers.

        Raises `Problem`: 413 beyond `limit` rows, 422 without any, 400 for what is not CSV.
        """
        source = self._source
        marks = [(0, 0) if self._held else (source.position, source.line)]
        total = 0
        for total, _ in enumerate(self._counted_records(limit), start=1):
            source.room = HELD_CHARACTERS
            if total % rows == 0:
                marks.append((source.position, source.line))
        for a, b in row_ranges(total, rows):
            start, lines = marks[a // rows]
            stop = source.position if b == total else marks[b // rows][0]
            yield Cut(start, stop, lines, b - a)

    def _grouped(self, rows: Iterator[Record], size: int) -> Iterator[list[Record]]:
        """Yield rows in the parts of `row_ranges`, without knowing how many rows there are.

        Long rows come in parts of one tile, which keep their bits as well.
        """
        source, tile = self._source, max(1, size // CHUNK_TILES)
        held: list[Record] = []
        long = False
        while more := list(islice(rows, min(tile, 2 * size - len(held)))):
            held += more
            full = len(held) == 2 * size
            if full or (source.room < HELD_CHARACTERS / 2 and len(held) >= 2 * tile):
                source.room = HELD_CHARACTERS
                part, long = (size, long) if full else (tile, True)
                yield held[:part]
                held = held[part:]
        if held:
            yield held
        if long:
            held.clear()
            give_back_pieces()

    def _counted_records(self, limit: int, done: int = 0) -> Iterator[Record]:
        records = chain([self._held] if self._held else [], self._source)
        if not done:
            first = next(records, None)
            if first is None:
                raise unusable("the table has no data rows", line=self._source.line)
            records = chain([first], records)
        yield from islice(records, min(limit - done, sys.maxsize))
        if next(records, None) is not None:
            raise too_large(f"more than {limit} rows: send the table in parts", limit=limit)

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
                if self._on_bad_row == "fail":
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
            return number_in(cell, line, name, commas=self.commas)
        if not cell.strip():
            raise BadRow(f"{name} is empty", line, name)
        try:
            return self._features.code(name, cell)
        except UnknownWord as unknown:
            raise BadRow(f"{unknown}{unclosed(cell, line)}", line, name) from None


def _picker(index: list[int], *, commas: bool) -> Callable[[list[str]], Sequence[str]]:
    """Return a function of a record that returns the cells of the numeric features.

    Where decimals have commas, they get points; and a cell with a point becomes no number.
    """
    if commas:
        pick = _picker(index, commas=False)
        return lambda record: [
            "" if "." in cell else cell.replace(",", ".") for cell in pick(record)
        ]
    if len(index) == 1:
        only = index[0]
        return lambda record: [record[only]]
    return itemgetter(*index) if index else lambda record: ()


class _GoodRows:
    """Collects good rows, and cuts them as if there had been no others."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._X: list[FloatArray] = []
        self._cells: Cells = []
        self._dropped: list[tuple[int, str]] = []
        self._seen = 0

    def add(self, chunk: Chunk) -> Iterator[Chunk]:
        """Take a chunk's good rows, and yield chunks that are full."""
        self._dropped += [(self._seen + i, why) for i, why in chunk.errors.items()]
        self._seen += len(chunk.X)
        kept = [i for i in range(len(chunk.X)) if i not in chunk.errors]
        self._X.append(chunk.X[kept])
        self._cells += [(chunk.cells or [])[i] for i in kept]
        while len(self._cells) >= 2 * self._size:
            yield self._taken(self._size)

    def end(self, *, refuse_none: bool) -> Iterator[Chunk]:
        """Yield what is left; raise a `Problem` 422 when no row was good, if that is to be."""
        if self._cells:
            yield self._taken(len(self._cells))
        elif self._dropped:
            if refuse_none:
                raise unusable(f"no row can be predicted: {self._dropped[0][1]}")
            yield Chunk(np.concatenate(self._X), [], dropped=self._dropped)

    def _taken(self, rows: int) -> Chunk:
        X = np.concatenate(self._X)
        cells, dropped = self._cells[:rows], self._dropped
        self._X, self._cells, self._dropped = [X[rows:]], self._cells[rows:], []
        return Chunk(np.ascontiguousarray(X[:rows]), cells, dropped=dropped)
