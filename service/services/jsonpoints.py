"""Points in JSON, in one of four shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from service.services import options as optional
from service.services.errors import Problem, unusable
from service.services.features import Features, UnknownWord
from service.services.jsontext import parse, reason
from service.services.points import Points, Rows, check_names, listed, refuse_unknown

_numbers = msgspec.json.Decoder(dict[str, float])
_matrix = list[list[float]]

SHAPES = (
    "an object of numbers, an object of equal-length columns, a list of objects, "
    'or {"points": [[…], …]}'
)
DEEPEST = 8


def read_json(body: bytes, features: Features) -> Points:
    """Read points from a JSON body, in one of four shapes.

    Raises `Problem`: 400 when the body is not JSON, 422 when it does not hold d finite numbers per
    point, or words where features are categorical.
    """
    names = features.names
    try:
        values = _numbers.decode(body)
        if len(values) == len(names) and not features.codes:
            return Points([[values[name] for name in names]], (), optional.PLAIN)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        pass
    return _read_shapes(parse(body), features)


def _read_shapes(value: Any, features: Features) -> Points:
    names = features.names
    if isinstance(value, list):
        return Points(_read_objects(value, features, "$"), (len(value),), optional.PLAIN)
    if not isinstance(value, dict):
        raise unusable(f"the JSON body must be {SHAPES}", path="$")
    given = {k: value.pop(k) for k in optional.NAMES & value.keys() if k not in names}
    options = optional.read(given, text=False)
    if "points" in value:
        refuse_unknown(value.keys() - {"points"}, names, "$")
        points = value["points"]
        if isinstance(points, list) and points and isinstance(points[0], dict):
            return Points(_read_objects(points, features, "$.points"), (len(points),), options)
        rows, shape = _read_matrix(points, features)
        return Points(rows, shape, options)
    check_names(value.keys(), names, "$")
    if any(isinstance(value[name], list) for name in names):
        rows = _read_columns(value, features)
        return Points(rows, (len(rows),), options)
    return Points([[_value(value[n], f"$.{n}", n, features) for n in names]], (), options)


def _read_objects(items: list[Any], features: Features, path: str) -> Rows:
    names = features.names
    if not items:
        raise unusable("there are no points: the list is empty", path=path)
    rows: Rows = []
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise unusable(
                f"a point must be an object with {listed(names)}; "
                'rows of numbers go in {"points": [[…], …]}',
                path=f"{path}[{i}]",
            )
        at = f"{path}[{i}]"
        check_names(item.keys(), names, at)
        rows.append([_value(item[name], f"{at}.{name}", name, features) for name in names])
    return rows


def _read_columns(columns: dict[str, Any], features: Features) -> Rows:
    names = features.names
    lengths = {n: len(columns[n]) if isinstance(columns[n], list) else -1 for n in names}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{n}: {k if k >= 0 else 'a single value'}" for n, k in lengths.items())
        raise unusable(f"the columns must have equal lengths, but have {shown}", path="$")
    if not lengths[names[0]]:
        raise unusable("there are no points: the columns are empty", path="$")
    checked = [
        [_value(v, f"$.{name}[{i}]", name, features) for i, v in enumerate(columns[name])]
        for name in names
    ]
    return [list(row) for row in zip(*checked, strict=True)]


def _read_matrix(value: Any, features: Features) -> tuple[Rows, tuple[int, ...]]:
    shape = _shape_of(value)
    if len(shape) == 1:
        value, shape = [value], (1, *shape)
        lead: tuple[int, ...] = ()
    else:
        lead = shape[:-1]
    rows: Rows = []
    for path, block in _blocks(value, shape, "$.points"):
        rows.extend(_read_block(block, features, path))
    return rows, lead


def _shape_of(value: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        if not value:
            raise unusable("there are no points: a list is empty", path="$.points")
        if len(shape) == DEEPEST:
            raise unusable(f"points are nested deeper than {DEEPEST} lists", path="$.points")
        shape.append(len(value))
        value = value[0]
    if not shape:
        raise unusable(
            "points must be a list of lists, each with a value per feature", path="$.points"
        )
    return tuple(shape)


def _blocks(value: Any, shape: Sequence[int], path: str) -> Iterator[tuple[str, list[Any]]]:
    if not isinstance(value, list) or len(value) != shape[0]:
        raise unusable(f"this must be a list of {shape[0]} items, like the first one", path=path)
    if len(shape) == 2:
        yield path, value
        return
    for i, part in enumerate(value):
        yield from _blocks(part, shape[1:], f"{path}[{i}]")


def _read_block(block: list[Any], features: Features, path: str) -> Rows:
    if features.codes:
        block = [_coded(row, features, f"{path}[{i}]") for i, row in enumerate(block)]
    try:
        rows = msgspec.convert(block, _matrix)
    except msgspec.ValidationError as error:
        detail, _, where = reason(error).partition(" - at `$")
        raise unusable(f"not a number: {detail}", path=path + where.rstrip("`")) from None
    for i, row in enumerate(rows):
        if len(row) != len(features.names):
            raise _wrong_width(row, features, f"{path}[{i}]")
    return rows


def _wrong_width(row: list[Any], features: Features, path: str) -> Problem:
    return unusable(f"a point has {len(row)} numbers, expected {len(features.names)}", path=path)


def _coded(row: Any, features: Features, path: str) -> Any:
    """Return a point with codes for words; anything that is not a list stays as it is."""
    if not isinstance(row, list):
        return row
    if len(row) != len(features.names):
        raise _wrong_width(row, features, path)
    row = list(row)
    for j in features.words:
        row[j] = _value(row[j], f"{path}[{j}]", features.names[j], features)
    return row


def _value(value: Any, path: str, name: str, features: Features) -> float:
    if name not in features.codes:
        return _number(value, path, name)
    try:
        return features.code(name, value)
    except UnknownWord as unknown:
        raise unusable(str(unknown), path=path, feature=name) from None


def _number(value: Any, path: str, name: str) -> float:
    if type(value) not in (float, int):
        kind = "a list" if isinstance(value, list) else msgspec.json.encode(value)[:40].decode()
        raise unusable(f"{name} is not a number but {kind}", path=path, feature=name)
    try:
        return float(value)
    except OverflowError:
        raise unusable(f"{name} is outside the range of float64", path=path, feature=name) from None
