"""Whether a version is clearly worse than the one that it is to replace."""

from __future__ import annotations

from typing import Any

from service.model import Description, ratio_by_chance

WORSE = 1.2
"""A root mean squared error is clearly worse when it is larger by this factor, beyond chance."""

CAREFUL = "intervals_too_wide"
"""The only fault that does not keep a version from being activated: it misleads nobody."""

_WORDS = {"leave_one_out": "leave-one-out", "held_out": "held-out"}


def clearly_worse(new: Description, current: Description) -> str:
    """Return why `new` is clearly worse than `current`, with both numbers; empty if it is not.

    Versions are comparable when they predict the same output. A version is clearly worse when its
    root mean squared error is larger by `WORSE` and by three standard errors, or when its verdict
    has a fault that misleads and that of the current version has none.
    """
    if new.output_name != current.output_name:
        return ""
    theirs = _errors(current)
    for method, ours in _errors(new).items():
        if method in theirs and _larger(ours, theirs[method]):
            return (
                f"its {_WORDS[method]} RMSE is {ours['rmse']:.4g}, and that of the current version "
                f"{current.version} is {theirs[method]['rmse']:.4g}"
            )
    return _faulty(new, current)


def _errors(description: Description) -> dict[str, dict[str, float]]:
    found = {method: description.scores.get(method) for method in _WORDS}
    return {
        method: scores
        for method, scores in found.items()
        if isinstance(scores, dict) and scores.keys() >= {"rmse", "rows"}
    }


def _larger(ours: dict[str, float], theirs: dict[str, float]) -> bool:
    factor = max(WORSE, ratio_by_chance(ours["rows"], theirs["rows"]))
    return ours["rmse"] > factor * theirs["rmse"]


def _faulty(new: Description, current: Description) -> str:
    faults = [fault for fault in _faults(new) if fault != CAREFUL]
    if not faults or _faults(current) or not _errors(current):
        return ""
    sentence = str(new.scores["verdict"][0]).rstrip(".")
    return f"the current version {current.version} has no such fault: {sentence}"


def _faults(description: Description) -> list[Any]:
    return list(description.scores.get("faults", ()))
