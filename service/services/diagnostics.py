"""Diagnostics of a model as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Annotated, Any, NotRequired, TypedDict, cast

import msgspec
import numpy as np
from msgspec import Meta

from service.model import Description, Diagnostics, FloatArray
from service.services.negotiation import CSV, JSON

OFFERED = (JSON, CSV)

LEVELS = tuple(percent / 100 for percent in (*range(5, 100, 5), 99))
"""The probabilities of the coverage curve."""

WORST = 10
"""How many of the worst rows are listed by themselves."""

_COLUMNS = ("row", "observed", "mean", "variance", "standardised_residual", "within_95")


METHODS = {"leave_one_out": "leave-one-out", "held_out": "held-out"}
"""How a model can be scored, in words."""

_SCORES = {
    "rows": ("rows", "{:.0f}"),
    "rmse": ("RMSE", "{:.4g}"),
    "q2": ("Q²", "{:.3f}"),
    "log_predictive_density": ("log density", "{:.4g}"),
    **{f"coverage_{n}": (f"{n} % coverage", "{:.1%}") for n in (50, 80, 90, 95, 99)},
    "predictive_variance_adequacy": ("variance adequacy", "{:.3f}"),
    "largest_residual": ("largest residual", "{:.1f}"),
}


class Row(TypedDict):
    """A row that the model has not seen: what was observed, and what it predicts there."""

    row: Annotated[int, Meta(description="among the training or held-out rows, from 0")]
    observed: float
    mean: float
    variance: Annotated[float, Meta(description="of an observation, with noise")]
    standardised_residual: Annotated[
        float, Meta(description="observed less mean, over the standard deviation")
    ]
    within_95: Annotated[bool, Meta(description="whether the 95 % interval contains it")]
    inputs: NotRequired[
        Annotated[dict[str, float | str], Meta(description="by feature; of the worst rows")]
    ]


class Coverage(TypedDict):
    """How many rows are within the intervals of some probabilities."""

    nominal: Annotated[list[float], Meta(description="the probability of the interval")]
    actual: Annotated[list[float], Meta(description="the share of rows that it contains")]


class DiagnosticsDocument(TypedDict):
    """How good a model is, by rows that it has not seen."""

    version: str
    output_name: str
    method: Annotated[str, Meta(description="leave_one_out: each row from all others; or held_out")]
    scores: dict[str, Any]
    coverage: Coverage
    relevance: Annotated[
        dict[str, float],
        Meta(description="how often the lengthscale of a feature fits into its training range"),
    ]
    worst: Annotated[list[Row], Meta(description="the rows with the largest residuals")]
    rows: list[Row]


def in_words(scores: Mapping[str, float]) -> dict[str, str]:
    """Return the scores as people read them, by their names in words."""
    known = {name: words for name, words in _SCORES.items() if name in scores}
    return {
        label: form.format(scores[name]).replace("%", " %") for name, (label, form) in known.items()
    }


def coverage(residuals: FloatArray, levels: tuple[float, ...] = LEVELS) -> FloatArray:
    """Return the share of rows within the central interval of each probability."""
    limits = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in levels])
    shares: FloatArray = np.mean(np.abs(residuals)[:, None] <= limits, axis=0)
    return shares


def written(found: Diagnostics, description: Description, media_type: str) -> bytes:
    """Return the document as JSON, or the rows with their inputs as CSV."""
    return _csv(found, description) if media_type == CSV else _json(found, description)


def _json(found: Diagnostics, description: Description) -> bytes:
    names = description.feature_names
    rows = [cast(Row, dict(zip(_COLUMNS, cells, strict=True))) for cells in _cells(found)]
    worst = [rows[i].copy() for i in found.worst(WORST).tolist()]
    if found.X.size:
        for row, i in zip(worst, found.worst(WORST).tolist(), strict=True):
            row["inputs"] = dict(zip(names, _inputs(found.X[i], description), strict=True))
    document: DiagnosticsDocument = {
        "version": description.version,
        "output_name": description.output_name,
        "method": found.method,
        "scores": found.scores,
        "coverage": {"nominal": list(LEVELS), "actual": coverage(found.residuals).tolist()},
        "relevance": dict(zip(names, found.relevance.tolist(), strict=True)),
        "worst": worst,
        "rows": rows,
    }
    return msgspec.json.encode(document)


def _cells(found: Diagnostics) -> Iterator[tuple[int, float, float, float, float, bool]]:
    """Return the numbers of each row, in the order of `_COLUMNS`."""
    residuals = found.residuals
    within = np.abs(residuals) <= NormalDist().inv_cdf(0.975)
    columns = found.rows, found.observed, *found.answers.T, residuals, within
    return zip(*(column.tolist() for column in columns), strict=True)


def _csv(found: Diagnostics, description: Description) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(description.feature_names if found.X.size else ())])
    for (*numbers, within), x in zip(_cells(found), found.X, strict=True):
        inputs = _inputs(x, description) if x.size else ()
        writer.writerow([*numbers, "true" if within else "false", *inputs])
    return text.getvalue().encode()


def _inputs(x: FloatArray, description: Description) -> list[float | str]:
    """Return the inputs of a row; a category by its word."""
    cells: list[float | str] = []
    for name, value in zip(description.feature_names, x.tolist(), strict=True):
        words = description.categories.get(name)
        cells.append(words[int(value)] if words else value)
    return cells
