"""Which names the inputs of a model may have."""

from __future__ import annotations

from collections.abc import Sequence

OPTIONS = ("points", "noise", "interval", "gradient", "covariance", "samples", "seed", "on_bad_row")
ANSWERS = ("mean", "variance", "lower", "upper", "extrapolated")
RESERVED = frozenset((*OPTIONS, "file", *ANSWERS))
"""Words that a request or an answer uses itself."""


def check_feature_names(names: Sequence[str], count: int) -> None:
    """Refuse names that a request could not carry.

    Raises
    ------
    ValueError
        There are not `count` names, or one is empty, repeated, or a word of the requests.
    """
    if len(names) != count:
        raise ValueError(f"{len(names)} feature names for {count} inputs")
    for position, name in enumerate(names, start=1):
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise ValueError(f"feature name {position} is empty or has blanks around it: {name!r}")
        if name in RESERVED:
            raise ValueError(f"feature name {name!r} is a word of the requests; choose another")
        if name in names[: position - 1]:
            raise ValueError(f"feature name {name!r} is given twice")
