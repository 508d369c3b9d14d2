"""From a table's text to the rows that train a model."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.gpr.trainingdata import (
    MAX_CATEGORIES,
    MIN_ROWS,
    TrainingData,
    TrainingOptions,
    option,
)
from service.model import FloatArray, check_feature_names
from service.services.badrows import (
    MISSING,
    NOT_A_NUMBER,
    advice_on,
    fault_of,
    has_decimal_commas,
    number_of,
    printable,
    shown,
)
from service.services.errors import Problem, unusable
from service.services.features import word_of
from service.services.trainingtables import MAX_REASONS, TextTable

_SHOWN_PLACES = 5
_UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""Names of a column without a name, in which tables keep the names of rows."""


def training_data(table: TextTable, options: TrainingOptions) -> TrainingData:
    """Return the rows that the options choose; X holds codes where a column is categorical.

    Raises `Problem`: 422 when a column is missing, a cell is missing or has no number, unless the
    options leave out its row or column; when there are too few rows, the output is constant, the
    noise is negative, or a categorical column has one word or more than `MAX_CATEGORIES`.
    """
    roles = _roles(table, options)
    columns = _read_all(table, roles, options)
    bad = np.zeros(len(table.rows), dtype=bool)
    for column in columns:
        bad[list(column.bad)] = True
    kept = np.flatnonzero(~bad)
    if bad.any() and not options.drop_missing:
        raise _refusal(table, columns, roles)
    if len(kept) < MIN_ROWS:
        raise _too_few(table, columns, roles, len(kept))
    numbers = {column.name: column.numbers_of(kept) for column in columns}
    y = numbers[roles.target]
    if np.ptp(y) == 0:
        raise unusable(f"the output {roles.target!r} is constant ({y[0]:g}): nothing to learn")
    return TrainingData(
        X=np.column_stack([numbers[name] for name in roles.features]),
        y=y,
        feature_names=roles.features,
        output_name=roles.target,
        sha256=hashlib.sha256(table.data).hexdigest(),
        categories={j: column.kinds for j, column in enumerate(columns) if column.kinds},
        noise=_noise(table, numbers[roles.noise], kept, roles.noise) if roles.noise else None,
        dropped=int(bad.sum()),
    )


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of a table are used for; `noise` may be empty."""

    features: tuple[str, ...]
    target: str
    noise: str

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return [*self.features, self.target, *([self.noise] if self.noise else [])]


def _roles(table: TextTable, options: TrainingOptions) -> Roles:
    """Choose the columns; one without a name holds the names of rows, and is used if it is named.

    Raises `Problem`: 422 when a column is missing or repeated, or has two roles.
    """
    unused = options.leave_out
    rest = [n for n in table.columns if n not in unused and not _UNNAMED.fullmatch(n)]
    target = options.target or (rest[-1] if rest else "")
    noise = options.noise_column
    features = options.features or tuple(n for n in rest if n not in (target, noise))
    roles = Roles(features, target, noise)
    if not features or not target:
        where, members = table.header
        raise unusable(f"{where}: there is no input column besides the target", **members)
    for name in (*roles.columns, *options.leave_out, *options.categorical):
        _refuse_unknown(table, name)
    for name in roles.columns:
        _refuse_repeated(table, name)
    _refuse_two_roles(roles, options)
    try:
        check_feature_names(features, len(features))
    except ValueError as error:
        out = option("leave_out", "NAME")
        raise unusable(f"{error}, or leave the column out: {out}") from None
    return roles


def _refuse_unknown(table: TextTable, name: str) -> None:
    where, members = table.header
    if printable(name) != name:
        detail = f"{where}: the column {printable(name)!r} is not UTF-8: save the table as UTF-8"
        raise unusable(detail, **members)
    if name not in table.columns:
        columns = printable(", ".join(table.columns))
        raise unusable(f"{where}: column {name!r} is missing; columns: {columns[:400]}", **members)


def _refuse_repeated(table: TextTable, name: str) -> None:
    if table.columns.count(name) > 1:
        where, members = table.header
        detail = f"{where}: column {name!r} appears twice: {_option('leave_out', [name])}"
        raise unusable(detail, **members)


def _refuse_two_roles(roles: Roles, options: TrainingOptions) -> None:
    for name in roles.columns:
        if roles.columns.count(name) > 1:
            others = ", the target and the noise" if roles.noise else " and the target"
            raise unusable(f"{name!r} is named twice among the inputs{others}")
        if name in options.leave_out:
            raise unusable(f"the column {name!r} is left out, but used", option="leave_out")
    for name in options.categorical:
        if name not in roles.features:
            raise unusable(f"{name!r} is not an input, so not categorical", option="categorical")


@dataclass(slots=True)
class _Column:
    """The cells of a column.

    Attributes
    ----------
    numbers : of all rows, or empty
    words : of all rows where the column is categorical
    bad : what is wrong in a row, and its cell
    commas : whether decimals have a comma
    kinds : the words of the rows that are kept, sorted
    """

    name: str
    numbers: list[float] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)
    commas: bool = False
    kinds: tuple[str, ...] = ()

    def numbers_of(self, kept: NDArray[np.int64]) -> FloatArray:
        """Return the numbers of the kept rows, or the codes of their words."""
        if not self.words:
            return np.array(self.numbers)[kept]
        given = [self.words[row] for row in kept.tolist()]
        self.kinds = tuple(sorted(set(given), key=_numbers_first))
        leave = f"leave it out: {_option('leave_out', [self.name])}"
        if len(self.kinds) < 2:
            detail = f"{self.name} has a single value, {self.kinds[0]!r}: {leave}"
            raise unusable(detail, column=self.name)
        if len(self.kinds) > MAX_CATEGORIES:
            numeric = math.isfinite(_numbers_first(self.kinds[-1])[0])
            number = "remove it from `categorical` to use it as a number, or " if numeric else ""
            raise unusable(
                f"{self.name} has {len(self.kinds)} different values, and a categorical column "
                f"may have {MAX_CATEGORIES}: {number}{leave}",
                column=self.name,
            )
        codes = {word: float(code) for code, word in enumerate(self.kinds)}
        return np.array([codes[word] for word in given])


def _read_all(table: TextTable, roles: Roles, options: TrainingOptions) -> list[_Column]:
    cells = {name: table.column(name) for name in roles.columns}
    numeric = [name for name in roles.columns if name not in options.categorical]
    commas = options.decimal == "comma"
    if options.decimal == "auto" and table.delimiter != ",":
        commas = has_decimal_commas(cell for name in numeric for cell in cells[name])
    return [
        _read_numbers(name, cells[name], commas)
        if name in numeric
        else _read_words(name, cells[name])
        for name in roles.columns
    ]


def _read_numbers(name: str, cells: list[str], commas: bool) -> _Column:
    column = _Column(name, commas=commas)
    for row, cell in enumerate(cells):
        number = number_of(cell, commas=commas)
        if not math.isfinite(number):
            column.bad[row] = fault_of(cell, number), cell
        column.numbers.append(number)
    return column


def _read_words(name: str, cells: list[str]) -> _Column:
    column = _Column(name)
    for row, cell in enumerate(cells):
        if cell.strip().lower() in MISSING:
            column.bad[row] = fault_of(cell, math.nan), cell
        elif printable(cell) != cell:
            column.bad[row] = "is not UTF-8", cell
        column.words.append(word_of(cell) or "")
    return column


def _numbers_first(word: str) -> tuple[float, str]:
    """Sort 10 after 9, and words after numbers."""
    number = number_of(word, commas=False)
    return (number if math.isfinite(number) else math.inf), word


def _noise(table: TextTable, noise: FloatArray, kept: NDArray[np.int64], name: str) -> FloatArray:
    negative = np.flatnonzero(noise < 0)
    if negative.size:
        where, members = table.place(int(kept[negative[0]]), name)
        detail = f"{where}: {name} is a variance, so not negative: {noise[negative[0]]:g}"
        raise unusable(detail, **members)
    return noise


def _refusal(table: TextTable, columns: Iterable[_Column], roles: Roles) -> Problem:
    found = _found(columns)
    name, _, _, rows = found[0]
    _, members = table.place(rows[0], name)
    return unusable(f"{_told(table, found)}. {_hints(table, found, roles)}", **members)


def _too_few(table: TextTable, columns: Iterable[_Column], roles: Roles, kept: int) -> Problem:
    if kept == len(table.rows):
        return unusable(f"too few rows: {kept}; at least {MIN_ROWS} are required")
    found = _found(columns)
    return unusable(
        f"too few rows: {kept} of {len(table.rows)} have every cell; at least {MIN_ROWS} are "
        f"required. {_told(table, found)}. {_hints(table, found, roles, dropped=True)}"
    )


Found = tuple[str, str, str, list[int]]
"""The name of a column, what is wrong, the first cell of this kind in words, and the rows."""


def _found(columns: Iterable[_Column]) -> list[Found]:
    """Return what is wrong, in the order of the rows."""
    found: list[Found] = []
    for column in columns:
        by_reason: dict[str, list[int]] = {}
        for row, (reason, _) in column.bad.items():
            by_reason.setdefault(reason, []).append(row)
        found += [
            (column.name, why, _in_words(column, *column.bad[rows[0]]), rows)
            for why, rows in by_reason.items()
        ]
    return sorted(found, key=lambda each: each[3][0])


def _in_words(column: _Column, cell_reason: str, cell: str) -> str:
    if not cell.strip():
        return ""
    advice = advice_on(cell, commas=column.commas) if cell_reason == NOT_A_NUMBER else ""
    return f": {shown(cell)}{advice}"


def _told(table: TextTable, found: list[Found]) -> str:
    told: list[str] = []
    for name, reason, words, rows in found[:MAX_REASONS]:
        places = [table.place(row, name)[0] for row in rows[: _SHOWN_PLACES + 1]]
        more = len(rows) - len(places)
        also = ", ".join(places[1:]) + (f" and {more} more" if more else "")
        told.append(f"{places[0]}: {name} {reason}{words}" + (f" (also {also})" if also else ""))
    if len(found) > MAX_REASONS:
        told.append(f"and {len(found) - MAX_REASONS} more kinds of cells")
    return "; ".join(told)


def _hints(table: TextTable, found: list[Found], roles: Roles, *, dropped: bool = False) -> str:
    """Say what can be done: encode words, leave out rows unless they are, or leave out columns."""
    texts = [
        name for name, reason, _, rows in found if reason == NOT_A_NUMBER and _most(table, rows)
    ]
    lacking = {row for name, *_, rows in found for row in rows if name not in texts}
    inputs = list(dict.fromkeys(name for name, *_ in found if name in roles.features))
    words = [name for name in texts if name in inputs and _few_words(table, name)]
    hints = []
    if words:
        hints.append(f"To use words as categories: {_option('categorical', words)}.")
    if lacking and not dropped and len(table.rows) - len(lacking) >= MIN_ROWS:
        hints.append("To leave such rows out: drop_missing=true (--drop-missing).")
    if inputs and len(inputs) < len(roles.features):
        hints.append(f"To leave columns out: {_option('leave_out', inputs)}.")
    if roles.target in texts:
        hints.append("The output must be a number: choose another target.")
    return " ".join(hints) or "Correct these cells."


def _most(table: TextTable, rows: list[int]) -> bool:
    return 2 * len(rows) > len(table.rows)


def _few_words(table: TextTable, name: str) -> bool:
    return len(set(table.column(name))) <= MAX_CATEGORIES


def _option(name: str, columns: Iterable[str]) -> str:
    return option(name, ",".join(columns))
