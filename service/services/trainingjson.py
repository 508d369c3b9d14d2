"""Tables of training data in JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from service.services.errors import unusable
from service.services.jsontext import parse
from service.services.trainingtables import Place, TextTable

Path = Callable[[int], str]
"""A function of a row that returns the JSON path of a column's value."""

_EXPECTED = 'the body must have "data": {column: […], …}, or "inputs": [[…], …] and "output": […]'


def table_of_json(data: bytes) -> tuple[TextTable, dict[str, Any]]:
    """Return the table and the options of ``{"data": {column: […]}, …}``, or of ``{"inputs": …}``.

    Raises `Problem`: 400 when the body is not JSON, 422 when it is not a table of numbers, words
    and nulls, with the ``path``.
    """
    members = parse(data)
    if not isinstance(members, dict):
        raise unusable("the JSON body must be an object", path="$")
    if "inputs" in members and "output" in members:
        columns, paths = _inputs(members.pop("inputs"))
        target = str(members.setdefault("target", "y"))
        if target in columns:
            raise unusable(f"an input has the name of the output, {target!r}", path="$.target")
        columns[target], paths[target] = members.pop("output"), lambda i: f"$.output[{i}]"
    else:
        columns, paths = _columns(members.pop("data", None), "$.data", _EXPECTED)
    return _table(columns, paths), members


def _columns(given: Any, path: str, wanted: str) -> tuple[dict[str, Any], dict[str, Path]]:
    if not isinstance(given, dict) or not given:
        raise unusable(wanted, path=path)
    return dict(given), {name: _below(f"{path}.{name}") for name in given}


def _below(path: str) -> Path:
    return lambda i: f"{path}[{i}]"


def _inputs(given: Any) -> tuple[dict[str, Any], dict[str, Path]]:
    """Read rows, whose columns are named x1, x2, …, or columns by name."""
    if not (isinstance(given, list) and given and all(isinstance(row, list) for row in given)):
        wanted = "inputs must be a list of rows, or an object of columns"
        return _columns(given, "$.inputs", wanted)
    width = len(given[0])
    for i, row in enumerate(given):
        if len(row) != width:
            raise unusable(f"a row has {len(row)} values, expected {width}", path=f"$.inputs[{i}]")
    names = [f"x{k + 1}" for k in range(width)]
    columns = {name: [row[k] for row in given] for k, name in enumerate(names)}
    return columns, {name: _cell(k) for k, name in enumerate(names)}


def _cell(k: int) -> Path:
    return lambda i: f"$.inputs[{i}][{k}]"


def _table(columns: dict[str, Any], paths: dict[str, Path]) -> TextTable:
    lengths = {name: len(c) if isinstance(c, list) else -1 for name, c in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        shown = ", ".join(f"{k}: {n if n >= 0 else 'not a list'}" for k, n in lengths.items())
        raise unusable(f"the columns must be lists of equal lengths: {shown[:200]}", path="$")
    cells = [_as_text(name, column, paths[name]) for name, column in columns.items()]
    rows = [list(row) for row in zip(*cells, strict=True)]

    def place(row: int, column: str) -> Place:
        path = paths[column](row)
        return path, {"path": path}

    return TextTable(_as_csv(columns, rows), list(columns), rows, ("$", {"path": "$"}), place)


def _as_text(name: str, column: Sequence[Any], path: Path) -> list[str]:
    """Return values as a table has them: JSON's own numbers, words, and nothing for null."""
    cells: list[str] = []
    for i, value in enumerate(column):
        if isinstance(value, list | dict):
            raise unusable(f"{name} is not a number or a word in row {i}", path=path(i))
        if value is None:
            cells.append("")
        else:
            cells.append(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return cells


def _as_csv(columns: dict[str, Any], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
