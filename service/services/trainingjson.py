"""Training data in JSON, checked and converted to a CSV table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from service.services.errors import malformed, unusable

Path = Callable[[int], str]
"""A function of a row that returns the JSON path of a column's value."""

_EXPECTED = 'the body must have "data": {column: […], …}, or "inputs": [[…], …] and "output": […]'


def table_of_json(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the table and the options of ``{"data": {column: […]}, …}``, or of ``{"inputs": …}``.

    Raises `Problem`: 400 when the body is not JSON, 422 when it is not a table of numbers, with the
    ``path``.
    """
    try:
        members = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(f"the body is not JSON: {error}") from None
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
            raise unusable(f"a row has {len(row)} numbers, expected {width}", path=f"$.inputs[{i}]")
    names = [f"x{k + 1}" for k in range(width)]
    columns = {name: [row[k] for row in given] for k, name in enumerate(names)}
    return columns, {name: _cell(k) for k, name in enumerate(names)}


def _cell(k: int) -> Path:
    return lambda i: f"$.inputs[{i}][{k}]"


def _table(columns: dict[str, Any], paths: dict[str, Path]) -> bytes:
    lengths = {name: len(c) if isinstance(c, list) else -1 for name, c in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        shown = ", ".join(f"{k}: {n if n >= 0 else 'not a list'}" for k, n in lengths.items())
        raise unusable(f"the columns must be lists of equal lengths: {shown[:200]}", path="$")
    for name, column in columns.items():
        _refuse_nonfinite(name, column, paths[name])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _refuse_nonfinite(name: str, column: Sequence[Any], path: Path) -> None:
    for i, value in enumerate(column):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise unusable(f"{name} is not a finite number in row {i}", path=path(i))
