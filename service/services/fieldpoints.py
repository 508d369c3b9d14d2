"""Points in fields, as in a query string or a form: from names and texts to rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from service.services import options as optional
from service.services.points import Points, check_names
from service.services.problems import unusable


def read_fields(fields: Iterable[tuple[str, str]], names: Sequence[str]) -> Points:
    """Points and options from a query string or a form; a repeated field makes a batch.

    Raises
    ------
    Problem
        422, with the feature's name where it is known.
    """
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
    rows = [[_parsed(columns[name][i], name) for name in names] for i in range(n)]
    return Points(rows, () if n == 1 else (n,), options)


def _parsed(text: str, name: str) -> float:
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        raise unusable(f"{name} is not a number: {text[:40]!r}", feature=name) from None
    if not math.isfinite(number):
        raise unusable(f"{name} is not a finite number: {text[:40]!r}", feature=name)
    return number
