"""Tables of training data: cells as text, each with its place, read from CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

from service.services.badrows import printable, wrong_width
from service.services.csvrecords import CSVRecords, header_names, is_number, refuse_numbered
from service.services.errors import Where, too_large, unusable

Place = tuple[str, Where]
"""Where something is in a request, in words and as members of a problem document."""

MAX_REASONS = 10
MAX_CELLS = 1_500_000
"""All cells are in memory: short ones take twenty times their length in the file."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells are text.

    Attributes
    ----------
    data : the table as CSV
    columns : the names in the header, which may be empty or repeated
    rows : the cells of each row, as many as there are columns
    header : the place of the header
    place : a function of a row's index and a column's name that returns the place of the cell
    delimiter : between the cells; a comma for JSON
    """

    data: bytes
    columns: list[str]
    rows: list[list[str]]
    header: Place
    place: Callable[[int, str], Place]
    delimiter: str = ","

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def table_of_csv(data: bytes) -> TextTable:
    """Read a CSV table with a header: UTF-8, with ``,``, ``;`` or tab as its delimiter.

    Raises `Problem`: 400 for another kind of file, 422 when the table is empty, its first line is
    numbers, or a row has not one cell for each column; with the ``line``.
    """
    source = CSVRecords(io.BytesIO(data))
    source.room = math.inf  # all of it is in memory
    records = iter(source)
    line, head = next(records, (1, []))
    columns = header_names(head)
    if not columns:
        raise unusable("the table is empty", line=1)
    _refuse_numbers(columns, line)
    lines: list[int] = []
    rows: list[list[str]] = []
    ragged: list[tuple[int, str]] = []
    count = 0
    for number, cells in records:
        count += len(cells)
        if count > MAX_CELLS:
            detail = f"the table has more than {MAX_CELLS} cells: send a sample of its rows"
            raise too_large(detail, limit=MAX_CELLS, line=number)
        lines.append(number)
        rows.append(cells)
        if len(cells) != len(columns):
            ragged.append((number, wrong_width(cells, number, len(columns))))
    if ragged:
        shown = [f"line {number}: {reason}" for number, reason in ragged[:MAX_REASONS]]
        shown += [f"and {len(ragged) - MAX_REASONS} more"] if len(ragged) > MAX_REASONS else []
        raise unusable("; ".join(shown), line=ragged[0][0])

    def place(row: int, column: str) -> Place:
        return f"line {lines[row]}", {"line": lines[row], "column": column}

    header: Place = (f"line {line}", {"line": line})
    return TextTable(data, columns, rows, header, place, source.delimiter)


def _refuse_numbers(columns: list[str], line: int) -> None:
    """Raise a `Problem` 422 for a first line that is not a header: most of it are numbers.

    Years and wavelengths may be names of columns, but then others are words.
    """
    refuse_numbered(columns, ["a", "b", "y"])
    named = [name for name in columns if name]
    numbers = [name for name in named if is_number(name)]
    whole = all(name.isdecimal() for name in numbers)
    if named and (len(numbers) == len(named) or (2 * len(numbers) > len(named) and not whole)):
        shown = printable(", ".join(named)[:80])
        raise unusable(
            f"line {line} is numbers, not a header: {shown}. Begin the table with a line of the "
            "columns' names",
            line=line,
        )
