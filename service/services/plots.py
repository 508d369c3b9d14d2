"""The plots of a model's diagnostics, drawn by matplotlib."""

from __future__ import annotations

import io
import textwrap
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from service.model import Description, Diagnostics, FloatArray
from service.services.diagnostics import LEVELS, METHODS, coverage, in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, GREY, AMBER = "#1c5d8c", "#8c979f", "#b36b00"

TITLE, LABEL = 40, 18
"""Characters of the longest name that is shown whole."""


def png(found: Diagnostics, description: Description) -> bytes:
    """Return a picture of 1500 by 1000 pixels.

    Raises `ImportError`: matplotlib is not installed.
    """
    content = io.BytesIO()
    figure(found, description).savefig(content, format="png", dpi=125)
    return content.getvalue()


def figure(found: Diagnostics, description: Description) -> Figure:
    """Return the plots; a row outside its 95 % interval has another colour."""
    from matplotlib.figure import Figure  # optional, and takes half a second

    drawn = Figure(figsize=(12, 8), layout="constrained")
    panels = drawn.subplots(2, 3).flat
    output = _shortened(description.output_name, TITLE)
    _predicted(panels[0], found, output)
    _residuals(panels[1], found, output)
    _quantiles(panels[2], found.residuals)
    _coverage(panels[3], found.residuals)
    _relevance(panels[4], found.relevance, description.feature_names)
    _words(panels[5], found)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        _as_written(panel)
    title = f"{description.name}, version {description.version}: {description.kernel}"
    drawn.suptitle(title, parse_math=False)
    return drawn


def _sides(found: Diagnostics) -> list[tuple[Any, str, str]]:
    """Return which rows are inside and outside of their 95 % interval, with colour and label."""
    inside = np.abs(found.residuals) <= NormalDist().inv_cdf(0.975)
    return [(inside, BLUE, "inside the 95 % interval"), (~inside, AMBER, "outside")]


def _predicted(panel: Any, found: Diagnostics, output: str) -> None:
    half = NormalDist().inv_cdf(0.975) * np.sqrt(found.answers[:, 1])
    for rows, colour, label in _sides(found):
        panel.errorbar(
            found.observed[rows], found.answers[rows, 0], half[rows],
            fmt="o", markersize=3, linewidth=0.6, alpha=0.6, color=colour, label=label,
        )  # fmt: skip
    ends = [found.observed.min(), found.observed.max()]
    panel.plot(ends, ends, color=GREY, linewidth=1)
    panel.set(title="Predicted against observed", xlabel=f"observed {output}", ylabel="predicted")
    panel.legend(frameon=False, fontsize="small", loc="upper left")


def _residuals(panel: Any, found: Diagnostics, output: str) -> None:
    limit = NormalDist().inv_cdf(0.975)
    panel.axhspan(-limit, limit, color=BLUE, alpha=0.12, linewidth=0)
    panel.axhline(0, color=GREY, linewidth=1)
    for rows, colour, _ in _sides(found):
        panel.plot(found.answers[rows, 0], found.residuals[rows], "o", markersize=3, color=colour)
    panel.set(title="Standardised residuals", xlabel=f"predicted {output}", ylabel="deviations")


def _quantiles(panel: Any, residuals: FloatArray) -> None:
    n = len(residuals)
    normal = np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])
    panel.plot(normal[[0, -1]], normal[[0, -1]], color=GREY, linewidth=1)
    panel.plot(normal, np.sort(residuals), "o", markersize=3, color=BLUE)
    panel.set(
        title="Normal quantiles", xlabel="of a normal distribution", ylabel="of the residuals"
    )


def _coverage(panel: Any, residuals: FloatArray) -> None:
    nominal = np.array(LEVELS)
    chance = NormalDist().inv_cdf(0.975) * np.sqrt(nominal * (1 - nominal) / len(residuals))
    panel.fill_between(
        nominal, nominal - chance, nominal + chance, color=GREY, alpha=0.25, label="by chance, 95 %"
    )
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    panel.plot(nominal, coverage(residuals), "o-", markersize=3, color=BLUE)
    panel.set(title="Coverage", xlabel="probability of the interval", ylabel="share of rows in it")
    panel.legend(frameon=False, fontsize="small", loc="upper left")


def _relevance(panel: Any, relevance: FloatArray, names: tuple[str, ...]) -> None:
    labels = [_shortened(name, LABEL) for name in names]
    panel.barh(np.arange(len(names)), relevance, color=BLUE)
    panel.set_yticks(np.arange(len(names)), labels)
    panel.invert_yaxis()
    panel.set(title="Relevance of the inputs", xlabel="training range / lengthscale")


def _words(panel: Any, found: Diagnostics) -> None:
    panel.axis("off")
    numbers = in_words(found.scores.get(found.method, {}))
    worst = ", ".join(map(str, found.rows[found.worst(5)]))
    lines = [f"{label}: {number}" for label, number in numbers.items()]
    lines += [f"worst rows: {worst} (the first is 0)", ""]
    lines += [textwrap.fill(each, 52) for each in found.scores.get("verdict", ())]
    panel.set_title(METHODS[found.method].capitalize(), loc="left")
    panel.text(0, 1, "\n".join(lines), va="top", fontsize="small", parse_math=False)


def _shortened(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _as_written(panel: Any) -> None:
    """Show names as they are: a dollar sign does not begin a formula."""
    labels = panel.xaxis.label, panel.yaxis.label, *panel.get_yticklabels()
    for label in labels:
        label.set_parse_math(False)
