"""The header of a table."""

from __future__ import annotations

from collections.abc import Sequence

from service.services.problems import unusable


def is_header(cells: list[str], names: Sequence[str]) -> bool:
    """Whether a table's first row names columns: a feature is among them, or no number is."""
    return bool(set(cells) & set(names)) or not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def feature_columns(header: list[str], names: Sequence[str]) -> list[int]:
    """Where each feature stands in the header; a `Problem` 422 when one lacks or is there twice."""
    missing = [name for name in names if name not in header]
    if missing:
        raise unusable(
            f"the header lacks {', '.join(missing)[:200]}; it has {', '.join(header)[:200]!r}",
            line=1,
            missing=missing,
        )
    for name in names:
        if header.count(name) > 1:
            raise unusable(f"the header has {name} twice", line=1, column=name)
    return [header.index(name) for name in names]
