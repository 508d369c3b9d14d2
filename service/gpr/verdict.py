"""A verdict on a model in words: whether its intervals and its mean can be believed.

Each sentence says what is wrong and what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from service.model import ratio_by_chance

Scores = Mapping[str, float]

NEVER_BELOW = 0.7
"""The 95 % interval is called too narrow when it contains a smaller share, however few the rows."""

NARROW, WIDE = 0.92, 0.98
"""Shares within the 95 % interval that are near enough to 95 %, however many the rows."""

CHANCE = 0.01
"""A share is off when chance alone would give such a one this rarely."""

WIDE_VARIANCE = math.log(2)
"""Intervals are too wide when the variances are twice the squared errors or more."""

NEGLIGIBLE = 0.01
"""Intervals may be too wide if their deviation is a smaller share of the output's."""

USELESS_Q2, WEAK_Q2 = 0.1, 0.5
"""Up to the first Q² a model is called useless, and up to the second not good."""

UNFIT_RATIO = 1.5
"""How many times larger the held-out rows' error is when the model does not fit them."""

FAR = 6.0
"""Residuals of so many standard deviations are worth a look: a normal one never gets there."""

FEW_ROWS = 40
"""With fewer rows the coverage of the 95 % interval is known to within 7 % at best."""

ROWS = {"leave_one_out": "left-out", "held_out": "held-out"}
"""The ways of scoring, the most reliable first, and their rows in words."""


class Fault(NamedTuple):
    """What is wrong, as one word for programs and a sentence for people."""

    kind: str
    sentence: str


def verdict(scores: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return ``faults``, words for programs, and ``verdict``, sentences for people.

    Parameters
    ----------
    scores : by "leave_one_out" and "held_out", as `validation.scores` returns them; either may be
        missing
    """
    both = {name: scores[name] for name in ROWS if name in scores}
    if not both:
        unknown = (
            "How good this model is, is not known: it has no scores. Train it with this service, "
            "which holds rows out to score it."
        )
        return {"faults": [], "verdict": [unknown]}
    found = [fault for check in _CHECKS if (fault := check(both))]
    sentences = [fault.sentence for fault in found] or [_good(both)]
    return {
        "faults": [fault.kind for fault in found],
        "verdict": sentences + [note for check in _NOTES if (note := check(both))],
    }


def _good(both: Mapping[str, Scores]) -> str:
    name, scores = next(iter(both.items()))
    coverage, rows = _percent(scores["coverage_95"]), f"{scores['rows']:.0f} {ROWS[name]} rows"
    contains = f"the 95 % interval contains {coverage} of the {rows}"
    q2 = scores.get("q2")
    if q2 is None:
        return f"Good: {contains}."
    explained = f"{_percent(q2)} of the output's variance"
    if q2 >= WEAK_Q2:
        return f"Good: {contains}, and the model explains {explained}."
    return (
        f"The intervals can be believed, {contains}, but the model explains only {explained}: more "
        "rows or other columns may help."
    )


def _too_narrow(both: Mapping[str, Scores]) -> Fault | None:
    for name, scores in both.items():
        share, n = scores["coverage_95"], round(scores["rows"])
        unlikely = at_most(round(share * n), n, 0.95) < CHANCE
        if share < NEVER_BELOW or (share < NARROW and unlikely):
            return Fault(
                "intervals_too_narrow",
                f"The intervals are too narrow: the 95 % interval contains {_percent(share)} of "
                f"the {n} {ROWS[name]} rows. Train with more noise (--noise auto, or a number), "
                "another kernel such as Matern52, or more rows where the function changes.",
            )
    return None


def _too_wide(both: Mapping[str, Scores]) -> Fault | None:
    name, scores = next(iter(both.items()))
    n = round(scores["rows"])
    adequacy = scores.get("predictive_variance_adequacy", 0.0)
    deviation = math.sqrt(1 - scores.get("q2", 0.0)) * math.exp(adequacy / 2)
    if adequacy < WIDE_VARIANCE or deviation < NEGLIGIBLE:
        return None
    for level in (95, 80, 50):
        share = scores[f"coverage_{level}"]
        outside = n - round(share * n)
        too_many = at_most(outside, n, 1 - level / 100) < CHANCE
        if too_many and scores["coverage_95"] >= WIDE:
            return Fault(
                "intervals_too_wide",
                f"The intervals are too wide: the {level} % interval contains {_percent(share)} of "
                f"the {n} {ROWS[name]} rows. Train with less noise (--noise, or --noise none for "
                "a simulator without noise), or another kernel.",
            )
    return None


def _useless(both: Mapping[str, Scores]) -> Fault | None:
    name, scores = next(iter(both.items()))
    q2 = scores.get("q2", 1.0)
    if q2 > USELESS_Q2:
        return None
    how = "no better" if q2 <= 0 else "hardly better"
    return Fault(
        "no_better_than_the_mean",
        f"The model predicts {how} than the output's mean (Q² {q2:.2f} on {ROWS[name]} rows). "
        "Choose columns that matter (--features), another kernel, or add rows: the inputs may not "
        "determine the output.",
    )


def _unfit(both: Mapping[str, Scores]) -> Fault | None:
    if len(both) < 2:
        return None
    known, unseen = both["leave_one_out"], both["held_out"]
    ratio = unseen["rmse"] / known["rmse"] if known["rmse"] > 0 else 1.0
    if ratio < UNFIT_RATIO or ratio < ratio_by_chance(known["rows"], unseen["rows"]):
        return None
    return Fault(
        "fits_only_the_training_rows",
        f"The model fits its training rows, but not the held-out ones: RMSE {unseen['rmse']:.3g} "
        f"there, {known['rmse']:.3g} by leave-one-out. Use fewer columns (--features), one "
        "lengthscale (--no-ard), or more rows.",
    )


def _far_rows(both: Mapping[str, Scores]) -> str:
    largest = max(scores.get("largest_residual", 0.0) for scores in both.values())
    if largest < FAR or _too_narrow(both):
        return ""
    return (
        f"Some rows are far off, up to {largest:.0f} standard deviations: check the worst ones for "
        "errors in the data, or for a place where the function is different."
    )


def _few_rows(both: Mapping[str, Scores]) -> str:
    n = max(scores["rows"] for scores in both.values())
    if n >= FEW_ROWS:
        return ""
    return (
        f"Only {n:.0f} rows score the model, so a score may be off by chance, coverage by "
        f"{_percent(1.96 * math.sqrt(0.95 * 0.05 / n))}; more rows would tell."
    )


_CHECKS: tuple[Callable[[Mapping[str, Scores]], Fault | None], ...] = (
    _too_narrow,
    _too_wide,
    _useless,
    _unfit,
)
_NOTES: tuple[Callable[[Mapping[str, Scores]], str], ...] = (_far_rows, _few_rows)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def at_most(k: int, n: int, p: float) -> float:
    """Return the probability of at most k successes in n trials of probability p."""
    i = np.arange(1, k + 1)
    steps = np.log((n - i + 1) / i) + math.log(p / (1 - p))
    logs = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    return min(1.0, float(np.exp(logs).sum()))
