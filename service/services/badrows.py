"""What is wrong with a row of a table: in words, with its line and column."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NoReturn

from service.services.errors import Where, unusable

OPEN_QUOTE = "; a quote opened on line {} may not be closed"

MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "?"})
"""What tables write where there is no value, in small letters."""

NOT_A_NUMBER = "is not a number"
_SHOWN = 40
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_TWO_READINGS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_THOUSANDS = re.compile(
    r"[+-]?\d{1,3}((,\d{3})+(\.\d*)?|(\.\d{3})+(,\d*)?|([\s'’]\d{3})+([.,]\d*)?)"
)
_OTHER_MINUS = re.compile(r"[\u2010-\u2015\u2212\ufe63\uff0d]\s*\d")


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


def number_of(cell: str, *, commas: bool) -> float:
    """Return the number in a cell, which may be infinite; NaN when there is none.

    Parameters
    ----------
    commas : whether the table writes decimals with a comma
    """
    if commas:
        cell = cell.replace(",", ".") if "." not in cell else ""
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan


def has_decimal_commas(cells: Iterable[str]) -> bool:
    """Whether numbers in these cells have a decimal comma, and none has a point.

    1,500 proves nothing: it may be 1.5 or 1500.
    """
    found = False
    for cell in cells:
        if "." in cell and not math.isnan(number_of(cell, commas=False)):
            return False
        text = cell.strip()
        found = found or bool(_DECIMAL_COMMA.fullmatch(text) and not _TWO_READINGS.fullmatch(text))
    return found


def fault_of(cell: str, number: float) -> str:
    """Return what is wrong with a cell that has no finite number, in words after its name."""
    if not cell.strip():
        return "is empty"
    if cell.strip().lower() in MISSING:
        return "is missing"
    return NOT_A_NUMBER if math.isnan(number) else "is not finite"


def advice_on(cell: str, *, commas: bool) -> str:
    """Return how to write a number that cannot be read, or the empty string."""
    text = cell.strip()
    if text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") != text:
        return "; it is not UTF-8: save the table as UTF-8"
    if _OTHER_MINUS.match(text):
        return "; write the minus sign as '-'"
    if _TWO_READINGS.fullmatch(text):
        sign = "," if commas else "."
        decimal = re.sub("[.,]", sign, text)
        return f"; it may be {decimal} or {re.sub('[.,]', '', text)}: write it as one of them"
    if _DECIMAL_COMMA.fullmatch(text):
        return "; write decimals with a point, or say decimal=comma (--decimal comma)"
    if commas and not math.isnan(number_of(text, commas=False)):
        return "; write decimals with a comma as elsewhere, or say decimal=point (--decimal point)"
    return "; write it without signs between thousands" if _THOUSANDS.fullmatch(text) else ""


def number_in(cell: str, line: int, name: str, *, commas: bool) -> float:
    """Return a cell's number; raise `BadRow` for one that is not a finite number."""
    number = number_of(cell, commas=commas)
    if math.isfinite(number):
        return number
    fault = fault_of(cell, number)
    said = f": {shown(cell)}" if cell.strip() else ""
    hint = unclosed(cell, line)
    if not hint and fault == NOT_A_NUMBER:
        hint = advice_on(cell, commas=commas)
    raise BadRow(f"{name} {fault}{said}{hint}", line, name)


def unclosed(text: str, line: int) -> str:
    """Return a hint when cells that end on `line` hold line breaks, else the empty string."""
    # An open quote also takes the table's last line break.
    breaks = text.removesuffix("\n").count("\n")
    return OPEN_QUOTE.format(line - breaks) if "\n" in text else ""


def wrong_width(record: list[str], line: int, columns: int) -> str:
    """Return what is wrong with a record that does not have one cell per column."""
    hint = unclosed("".join(record), line)
    if not hint and len(record) == columns + 1 and not record[-1].strip():
        hint = "; the last one is empty: end the line without a delimiter"
    if not hint and len(record) == columns + 1:
        hint = "; if the first ones are names of rows, begin the header with a delimiter"
    return f"{len(record)} cells, the table has {columns} columns{hint}"


def shown(cell: str) -> str:
    """Return a cell for a message: shortened, in quotes, with its invisible signs escaped."""
    return repr(printable(cell[:_SHOWN]))


def printable(text: str) -> str:
    """Return text for a message; what is not UTF-8 is read as Windows writes it (cp1252)."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
