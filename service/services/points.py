"""Points as a request gives them: rows of numbers, from fields of a form or a query string."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.services import options as optional
from service.services.badrows import shown
from service.services.errors import Where, too_large, unusable
from service.services.features import Features, UnknownWord
from service.services.options import Options

Rows = list[list[float]]


@dataclass(slots=True)
class Points:
    """Points read from a request: n rows of d numbers, and the shape they came in."""

    rows: Rows
    shape: tuple[int, ...]
    options: Options


def refuse_too_many(n: int, limit: int) -> None:
    """Raise a `Problem` 413 when `n` points are more than `limit`."""
    if n > limit:
        raise too_large(
            f"{n} points are more than {limit}, the limit of one request: send them in parts",
            points=n,
            limit=limit,
        )


def check_names(given: Iterable[str], names: Sequence[str], path: str | None) -> None:
    """Raise a `Problem` 422 unless the names are the features'; `path` is their JSON path."""
    given = set(given)
    missing = [name for name in names if name not in given]
    where: Where = {} if path is None else {"path": path}
    if missing:
        where["missing"] = missing
        extra = f"; unknown: {listed(sorted(given - set(names)))}" if given - set(names) else ""
        raise unusable(
            f"missing {listed(missing)}; the model's features are {listed(names)}{extra}",
            **where,
        )
    refuse_unknown(given - set(names), names, path)


def refuse_unknown(unknown: Iterable[str], names: Sequence[str], path: str | None) -> None:
    """Raise a `Problem` 422 for names that are neither features nor options."""
    others = sorted(unknown)
    if others:
        where: Where = {"unknown": [name[:80] for name in others[:10]]}
        if path is not None:
            where["path"] = path
        raise unusable(
            f"unknown {listed(others)}; the model's features are {listed(names)}, "
            f"the options {listed(sorted(optional.NAMES))}",
            **where,
        )


def listed(names: Iterable[str]) -> str:
    """Return names for a message, shortened where they are many or long."""
    return ", ".join(name[:80] for name in list(names)[:20])


def read_fields(fields: Iterable[tuple[str, str]], features: Features) -> Points:
    """Read points and options from a query string or a form; a repeated field makes a batch.

    Raises `Problem`: 422, with the feature's name where it is known.
    """
    names = features.names
    columns: dict[str, list[str]] = {}
    given: list[tuple[str, str]] = []
    for key, value in fields:
        if key in optional.NAMES and key not in names:
            given.append((key, value))
        else:
            columns.setdefault(key, []).append(value)
    options = optional.read(optional.once(given), text=True)
    check_names(columns.keys(), names, None)
    n = max(len(columns[name]) for name in names)
    for name in names:
        if len(columns[name]) != n:
            raise unusable(
                f"{name} is given {len(columns[name])} times, another feature {n} times",
                feature=name,
            )
    if features.codes:
        rows = [[_value(columns[name][i], name, i, features) for name in names] for i in range(n)]
    else:
        rows = [[_parsed(columns[name][i], name) for name in names] for i in range(n)]
    return Points(rows, () if n == 1 else (n,), options)


def _value(text: str, name: str, row: int, features: Features) -> float:
    if name not in features.codes:
        return _parsed(text, name)
    try:
        return features.code(name, text)
    except UnknownWord as unknown:
        raise unusable(str(unknown), feature=name, row=row) from None


def _parsed(text: str, name: str) -> float:
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        raise unusable(f"{name} is not a number: {shown(text)}", feature=name) from None
    if not math.isfinite(number):
        raise unusable(f"{name} is not a finite number: {shown(text)}", feature=name)
    return number
