"""CSV text: from bytes to records of cells, each with its line, and what a header says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, cast

from service.services.badrows import OPEN_QUOTE, printable
from service.services.body import starts_like_gzip
from service.services.errors import Problem, malformed, too_large, unusable
from service.services.features import Features
from service.services.options import PLAIN, Options

Record = tuple[int, list[str]]
"""A line number and the cells."""

DELIMITERS = ";\t,"
LONGEST_LINE = 1 << 20
HELD_CHARACTERS = 1 << 20
"""The most characters of rows in memory: each takes up to 20 bytes, as cells of two digits do."""

BOM = b"\xef\xbb\xbf"
_HEAD_LINES = 100
_HEAD_CHARACTERS = 1 << 16
_START = 64
_MOST_BLANK = 10_000
"""Blank lines that a table may have, and three more for each line that is not blank."""

_QUOTED = re.compile(r'"[^"]*"?')
_SEPARATOR = re.compile(r'"?sep=([;,\t])"?\s*')
_SAVE = "not CSV: save the table as CSV"
_JSON = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')
_OTHER_FILES = (
    (re.compile(rb"PK\x03\x04"), f"is a zip, xlsx or ods file, {_SAVE}"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), f"is an xls file, {_SAVE}"),
    (re.compile(rb"PAR1"), f"is a Parquet file, {_SAVE}"),
    (re.compile(rb"ARROW1|FEA1"), f"is a Feather file, {_SAVE}"),
    (re.compile(rb"\x89HDF"), f"is an HDF5 file, {_SAVE}"),
    (re.compile(rb"\x93NUMPY"), "is a .npy array, not CSV: /predict reads it as application/x-npy"),
    (re.compile(rb"\x80[\x02-\x05]"), "is a Python pickle, which is never read: send CSV or .npy"),
    (re.compile(rb"%PDF-"), f"is a PDF file, {_SAVE}"),
    (re.compile(rb"<(!|\?xml|html)", re.IGNORECASE), f"is HTML or XML, {_SAVE}"),
    (
        _JSON,
        "is JSON, not CSV: /predict and /train read it as application/json",
    ),
    (re.compile(rb"BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd"), "is compressed: compress it with gzip only"),
)
"""How other files begin that are sent as tables, and what to do about it."""


class CSVRecords:
    """Reads the records of a CSV body, without blank lines.

    Bytes that are not UTF-8 become surrogates, which `badrows.shown` shows.

    Parameters
    ----------
    delimiter : for a body that is a part of a table. Default: what a first line ``sep=;`` says, or
        the first of `DELIMITERS` that the first line has outside quotes
    lines_before : for a part of a table: how many lines precede it
    count_bytes : whether `position` is needed

    Attributes
    ----------
    delimiter : between the cells
    position : how many bytes have been read, when they are counted
    head : the first lines, when no delimiter is given
    room : how many characters may still be read; reset it once the rows before are released

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
        buffered: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, body))
        marked = not lines_before and buffered.peek(len(BOM)).startswith(BOM)
        self.position = len(BOM) if marked else 0
        self.head: list[str] = []
        self.room: float = HELD_CHARACTERS
        self._lines_before = lines_before
        if not delimiter:
            _reject_other_files(buffered.peek(_START)[:_START])
        self._bytes = _Remembered(buffered)
        text = io.TextIOWrapper(
            cast(BinaryIO, self._bytes),
            "utf-8" if lines_before else "utf-8-sig",
            errors="surrogateescape",
            newline="",
        )
        lines = self._bounded_lines(text)
        self.delimiter = delimiter or self._read_head(lines)
        lines = chain(self.head, self._forget_bytes(), lines)
        self._reader = csv.reader(
            self._count_bytes(lines) if count_bytes else lines, delimiter=self.delimiter
        )

    def _bounded_lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        while line := text.readline(LONGEST_LINE):
            size = len(line)
            if size == LONGEST_LINE:
                raise malformed(f"a line is longer than {LONGEST_LINE} characters")
            self.room -= size
            if self.room < 0:
                raise too_large(
                    f"the rows are too long: a few hundred have more than {HELD_CHARACTERS} "
                    "characters. Leave out columns that the model does not need",
                    limit=HELD_CHARACTERS,
                )
            yield line

    def _read_head(self, lines: Iterator[str]) -> str:
        """Read the first lines, and return the delimiter that they say or show."""
        left, first, said = _HEAD_CHARACTERS, "", ""
        for line in lines:
            self.head.append(line)
            left -= len(line)
            if not first.strip():
                first = line
                if separator := _SEPARATOR.fullmatch(line):
                    said = separator[1]
                    self._skip_head()
            if left <= 0 or len(self.head) == _HEAD_LINES:
                break
        bare = _QUOTED.sub("", first)
        return said or next((d for d in DELIMITERS if d in bare), ",")

    def _skip_head(self) -> None:
        self.position += sum(map(_size, self.head))
        self._lines_before += len(self.head)
        self.head = []

    def _count_bytes(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self.position += _size(line)
            yield line

    def _forget_bytes(self) -> Iterator[str]:
        self._bytes.taken()
        yield from ()

    def after(self, lines: int) -> tuple[bytes, io.BufferedReader] | None:
        """Return what follows so many of this body's lines: bytes that were read, and a stream.

        Nothing may be read here afterwards. None when more lines than `head` have been read.
        """
        read = self._bytes.taken()
        if read is None:
            return None
        position = self.position + sum(map(_size, self.head[:lines]))
        return bytes(read[position:]), self._bytes.source

    @property
    def lines_read(self) -> int:
        """How many lines of this body have been read, without those of ``sep=;``."""
        return self._reader.line_num

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._lines_before + self._reader.line_num

    def __iter__(self) -> Iterator[Record]:
        reader, before, line = self._reader, self._lines_before, self.line
        blank = 0
        try:
            for record in reader:
                line = before + reader.line_num
                if record:
                    yield line, record
                    continue
                blank += 1
                if blank > _MOST_BLANK + 3 * (line - blank):
                    raise malformed(f"nearly all of the first {line} lines are blank", line=line)
        except csv.Error as error:
            hint = OPEN_QUOTE.format(line + 1) if self.line > line + 1 else ""
            raise malformed(f"not a CSV record: {error}{hint}", line=self.line) from None


class _Remembered(io.BufferedIOBase):
    """A stream that keeps all that was read, until it is taken."""

    def __init__(self, source: io.BufferedReader) -> None:
        self.source = source
        self._read: bytearray | None = bytearray()

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        piece = self.source.read1(size)
        if self._read is not None:
            self._read += piece
        return piece

    def taken(self) -> bytearray | None:
        """Return what was read, once, and keep no more."""
        taken, self._read = self._read, None
        return taken


def looks_like_json(body: io.BufferedReader) -> bool:
    """Whether a body begins as JSON points do, and as no table does."""
    return _JSON.match(body.peek(_START)[:_START]) is not None


def header_names(cells: list[str]) -> list[str]:
    """Return the names in a header; NumPy writes '#' before it."""
    names = [cell.strip() for cell in cells]
    if names and names[0].startswith("# "):
        names[0] = names[0][2:].strip()
    return names


def is_number(name: str) -> bool:
    """Whether a name in a first line is a number, so that the line may be no header."""
    try:
        float(name.replace(",", "."))
    except ValueError:
        return False
    return True


def refuse_numbered(names: list[str], example: Iterable[str]) -> None:
    """Raise a `Problem` 422 for a first row 0, 1, 2, …: the names that pandas gives to columns."""
    numbered = names[1:] if names and not names[0] else names
    if len(names) > 1 and numbered == [str(i) for i in range(len(numbered))]:
        shown = ", ".join(numbered)[:80]
        raise unusable(
            f"the first line is {shown}, as pandas writes the header of a table without names: "
            f"put names there, as in {','.join(example)[:200]}, or save it with header=False, "
            "index=False",
            line=1,
        )


def is_header(cells: list[str], features: Features) -> bool:
    """Whether a table's first row is a header: it has a feature's name, or no value of one."""
    if set(cells) & set(features.names):
        return True
    return not any(is_number(cell) or features.is_word(i, cell) for i, cell in enumerate(cells))


def feature_columns(
    header: list[str], features: Features, options: Options = PLAIN, line: int = 1
) -> list[int]:
    """Return the column of each feature; raise a `Problem` 422 for missing or repeated ones."""
    wanted = _wanted(features.names, options.columns)
    missing = [name for name, column in wanted.items() if column not in header]
    if missing:
        raise _missing(header, wanted, missing, line)
    for name, column in wanted.items():
        if header.count(column) > 1:
            detail = f"the column {column} appears twice in the header"
            raise unusable(detail, line=line, column=name)
    return [header.index(column) for column in wanted.values()]


def _missing(header: list[str], wanted: dict[str, str], missing: list[str], line: int) -> Problem:
    lacking = ", ".join(wanted[name] for name in missing)[:200]
    found = printable(", ".join(header)[:200])
    hint = ""
    if len(header) == 1 < len(wanted):
        hint = "; separate the cells by commas, semicolons or tabs"
    elif len(header) >= len(wanted):
        example = f"{missing[0]}=NAME"[:100]
        hint = f"; for a column of another name, say columns={example} (--columns {example})"
    detail = f"missing columns {lacking} (found: {found}){hint}"
    return unusable(detail, line=line, missing=missing)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _wanted(names: Sequence[str], columns: str) -> dict[str, str]:
    """Return the column of each feature by name, as the option `columns` says.

    Raises `Problem`: 422 for an unknown feature, or a list of columns that is too short or long.
    """
    if not columns:
        return {name: name for name in names}
    try:
        [parts] = csv.reader([columns], skipinitialspace=True)
    except csv.Error as error:
        raise unusable(f"columns is not a list of names: {error}", option="columns") from None
    parts = [part.strip() for part in parts]
    pairs = [part.partition("=") for part in parts]
    if not any(name.strip() in names and equals for name, equals, _ in pairs):
        if len(parts) != len(names):
            named, has = _counted(len(parts), "column"), _counted(len(names), "feature")
            detail = f"`columns` names {named}, but the model has {has}"
            example = ", ".join(names)[:200]
            raise unusable(f"{detail}: {example}; or say feature=column", option="columns")
        return dict(zip(names, parts, strict=True))
    wanted = {name: name for name in names}
    for name, equals, column in pairs:
        if not equals or name.strip() not in names:
            detail = f"columns: {name[:80]!r} is not a feature; features: {', '.join(names)[:200]}"
            raise unusable(detail, option="columns")
        wanted[name.strip()] = column.strip()
    return wanted


def _size(line: str) -> int:
    return len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))


def _reject_other_files(start: bytes) -> None:
    """Raise a `Problem` 400 for a body that begins like another kind of file."""
    if starts_like_gzip(start):
        raise malformed("the table looks gzipped: send 'Content-Encoding: gzip' with it", line=1)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise malformed("the table is not UTF-8 but looks like UTF-16: save it as UTF-8", line=1)
    for begins, what in _OTHER_FILES:
        if begins.match(start):
            raise malformed(f"this {what}", line=1)
    if b"\x00" in start:
        raise malformed("the table is not UTF-8 but looks like UTF-16: save it as UTF-8", line=1)
