"""What is wrong with a row of a table: in words, with its line and column."""

from __future__ import annotations

import math
from typing import NoReturn

from service.services.errors import Where, unusable

OPEN_QUOTE = "; a quote opened on line {} may not be closed"


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
        shown = printable(cell[:40])
        point = "; write decimals with a point" if "," in cell else ""
        hint = unclosed(cell, line) or point
        reason = f"{name} is not a number: {shown!r}{hint}" if cell.strip() else f"{name} is empty"
        raise BadRow(reason, line, name) from None
    if not math.isfinite(number):
        raise BadRow(f"{name} is not a finite number: {cell[:40]!r}", line, name)
    return number


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
