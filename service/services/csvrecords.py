"""CSV records: from bytes to rows of cells, each with the line on which it ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, cast

from service.services.body import starts_like_gzip
from service.services.errors import malformed

Record = tuple[int, list[str]]
"""A line number and the cells."""

DELIMITERS = ";\t,"
LONGEST_LINE = 1 << 20
BOM = b"\xef\xbb\xbf"
_ZIP_MAGIC = b"PK\x03\x04"
_HEAD_LINES = 16
"""Blank lines may come before the first line that shows the delimiter."""

OPEN_QUOTE = "; a quote opened on line {} may not be closed"


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
        reader, before, line = self._reader, self._lines_before, self.line
        try:
            for record in reader:
                line = before + reader.line_num
                if record:
                    yield line, record
        except csv.Error as error:
            hint = OPEN_QUOTE.format(line + 1) if self.line > line + 1 else ""
            raise malformed(f"not a CSV record: {error}{hint}", line=self.line) from None


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


def unclosed(text: str, line: int) -> str:
    """Return a hint when cells that end on `line` hold line breaks, else the empty string."""
    # An open quote also takes the table's last line break.
    breaks = text.removesuffix("\n").count("\n")
    return OPEN_QUOTE.format(line - breaks) if "\n" in text else ""


def wrong_width(record: list[str], line: int, columns: int) -> str:
    """Return what is wrong with a record that has not one cell for each column."""
    hint = unclosed("".join(record), line)
    return f"{len(record)} cells, the table has {columns} columns{hint}"


def printable(text: str) -> str:
    """Return text for a message, with the bytes escaped that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
