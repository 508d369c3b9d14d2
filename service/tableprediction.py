"""A CSV in, the same CSV with mean and variance out, in chunks of bounded memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, TextIO

import numpy as np

from service.model import Model

if TYPE_CHECKING:
    from _csv import Reader

TILES = 16
"""Large tiles a chunk: chunks are cut at multiples of them, so the bits are those of one array."""


def predict_table(model: Model, source: TextIO, target: TextIO) -> int:
    """Append mean and variance to every row of `source`; return the number of rows.

    A header names the columns in any order, others are carried through. Without a header the
    columns are the features in their order.

    Raises
    ------
    ValueError
        A feature has no column, or a cell is not a finite number; it says on which line.
    """
    reader = csv.reader(source, strict=True)
    writer = csv.writer(target, lineterminator="\n")
    names = model.description.feature_names
    first = next(reader, None)
    if first is None:
        raise ValueError("the file is empty")
    cells = [cell.strip() for cell in first]
    has_header = not all(_is_number(cell) for cell in cells)
    columns = _columns(cells, names) if has_header else list(range(len(names)))
    if has_header:
        writer.writerow([*first, "mean", "variance"])
    total = 0
    for lines in _chunks(reader, model.large_tile * TILES, [] if has_header else [first]):
        X = np.array([_point(row, columns, names, line) for line, row in lines])
        for (_, row), (mean, variance) in zip(lines, model.predict(X).tolist(), strict=True):
            writer.writerow([*row, mean, variance])
        total += len(lines)
    return total


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(header: list[str], names: tuple[str, ...]) -> list[int]:
    for name in names:
        if header.count(name) != 1:
            how = "is missing" if name not in header else "is there twice"
            raise ValueError(f"line 1: column {name!r} {how}; columns: {', '.join(header)}")
    return [header.index(name) for name in names]


def _chunks(
    reader: Reader, size: int, first: list[list[str]]
) -> Iterator[list[tuple[int, list[str]]]]:
    def numbered() -> Iterator[tuple[int, list[str]]]:
        for row in first:
            yield 1, row
        for row in reader:
            if row:
                yield reader.line_num, row

    rows = numbered()
    while chunk := list(islice(rows, size)):
        yield chunk


def _point(row: list[str], columns: list[int], names: tuple[str, ...], line: int) -> list[float]:
    point = []
    for name, column in zip(names, columns, strict=True):
        if column >= len(row):
            raise ValueError(f"line {line}: no cell for {name!r}, the row has {len(row)} cells")
        try:
            number = float(row[column])
        except ValueError:
            raise ValueError(f"line {line}: {name} is not a number: {row[column]!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"line {line}: {name} is not finite: {row[column]!r}")
        point.append(number)
    return point
