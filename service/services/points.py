"""Points as a request gives them, and what is wrong with their names and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.services import options as optional
from service.services.options import Options
from service.services.problems import too_large, unusable

Rows = list[list[float]]


@dataclass(slots=True)
class Points:
    """Points read from a request: n rows of d numbers, and the shape that they came in."""

    rows: Rows
    shape: tuple[int, ...]
    options: Options


def refuse_too_many(n: int, limit: int) -> None:
    """413 when `n` points are more than `limit`."""
    if n > limit:
        raise too_large(
            f"{n} points are more than the {limit} of one request: send them in parts",
            points=n,
            limit=limit,
        )


def check_names(given: Iterable[str], names: Sequence[str], path: str | None) -> None:
    """422 when names are not those of the features: `path` says where they stand in JSON."""
    given = set(given)
    missing = [name for name in names if name not in given]
    where: dict[str, str] = {} if path is None else {"path": path}
    if missing:
        said = f"; unknown: {listed(sorted(given - set(names)))}" if given - set(names) else ""
        raise unusable(
            f"missing {listed(missing)}; the model's features are {listed(names)}{said}",
            missing=missing,
            **where,
        )
    refuse_unknown(given - set(names), names, path)


def refuse_unknown(unknown: Iterable[str], names: Sequence[str], path: str | None) -> None:
    """422 for names that are neither features nor options."""
    others = sorted(unknown)
    if others:
        raise unusable(
            f"unknown {listed(others)}; the model's features are {listed(names)}, "
            f"the options {listed(sorted(optional.NAMES))}",
            unknown=[name[:80] for name in others[:10]],
            **({} if path is None else {"path": path}),
        )


def listed(names: Iterable[str]) -> str:
    """Names for a message, cut where they are many or long."""
    return ", ".join(name[:80] for name in list(names)[:20])
