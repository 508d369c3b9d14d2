"""Rows of a table that cannot be predicted, in words for who has to mend them."""

from __future__ import annotations

import math
from typing import NoReturn

from service.services.problems import unusable

OPEN_QUOTE = "; a quote opened in line {} may not be closed"


def unclosed(text: str, line: int) -> str:
    """What may be wrong with cells that end in `line`, if they hold line breaks."""
    # an open quote takes the table's last line break, too
    breaks = text.removesuffix("\n").count("\n")
    return OPEN_QUOTE.format(line - breaks) if "\n" in text else ""


class BadRow(Exception):
    """A row that cannot be predicted: where it is and why."""

    def __init__(self, reason: str, line: int, column: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self._where: dict[str, str | int] = {"line": line}
        if column:
            self._where["column"] = column

    def refuse(self) -> NoReturn:
        """Raise it as a `Problem` 422."""
        raise unusable(str(self), **self._where) from None


def number_in(cell: str, line: int, name: str) -> float:
    """A cell's number; raises `BadRow` for what is none, or not finite."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        shown = cell[:40].encode("ascii", "backslashreplace").decode()
        point = "; write decimals with a point" if "," in cell else ""
        hint = unclosed(cell, line) or point
        reason = f"{name} is not a number: {shown!r}{hint}" if cell.strip() else f"{name} is empty"
        raise BadRow(reason, line, name) from None
    if not math.isfinite(number):
        raise BadRow(f"{name} is not a finite number: {cell[:40]!r}", line, name)
    return number
