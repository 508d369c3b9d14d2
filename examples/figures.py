"""The examples' plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from examples.genetic import Generation
    from examples.montecarlo import Propagation

BLUE, GREY, AMBER = "#1c5d8c", "#8c979f", "#b36b00"


def _panels(rows: int, **options: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7, 2.1 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, 1, **options)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _load(panel: Any, seconds: Sequence[float], replicas: Sequence[int], unit: str) -> None:
    """Seconds as bars, and replicas as steps on an axis of their own."""
    x = np.arange(1, len(seconds) + 1)
    panel.bar(x, seconds, color=GREY, width=0.8)
    panel.set(xlabel=unit, ylabel=f"seconds a {unit}")
    panel.xaxis.get_major_locator().set_params(integer=True)
    other = panel.twinx()
    other.step(x, replicas, where="mid", color=AMBER, linewidth=2)
    other.set_ylim(0, max(replicas) + 1)
    other.yaxis.get_major_locator().set_params(integer=True)
    other.set_ylabel("replicas that answered", color=AMBER)
    other.spines[["top"]].set_visible(False)


def generations_figure(history: Sequence[Generation], output: str) -> Figure:
    """The bound over the generations, above what each cost and who answered."""
    x = np.arange(1, len(history) + 1)
    figure, (bounds, load) = _panels(2, sharex=True)
    bounds.plot(x, [g.best for g in history], color=BLUE, linewidth=2, label="best")
    bounds.plot(x, [g.median for g in history], color=BLUE, linestyle=":", label="median")
    bounds.set_ylabel(f"bound of {output}")
    bounds.legend(frameon=False)
    _load(load, [g.seconds for g in history], [g.replicas for g in history], "generation")
    return figure


def propagation_figure(done: Propagation, output: str) -> Figure:
    """The output's distribution, its mean as the batches come, and what each batch cost."""
    draws = np.concatenate(done.draws)
    figure, (histogram, mean, load) = _panels(3)
    histogram.hist(draws, bins=100, density=True, color=BLUE, alpha=0.35, label="output")
    histogram.hist(
        np.concatenate(done.means), 100, density=True, histtype="step", color=BLUE, label="mean"
    )
    histogram.axvspan(*np.quantile(draws, [0.025, 0.975]), color=GREY, alpha=0.15, label="95 %")
    histogram.set(xlabel=output, ylabel="density")
    histogram.legend(frameon=False)
    estimate, error = np.array(done.estimates).T
    x = np.arange(1, len(estimate) + 1)
    mean.plot(x, estimate, color=BLUE, linewidth=2)
    mean.fill_between(x, estimate - 1.96 * error, estimate + 1.96 * error, color=BLUE, alpha=0.2)
    mean.set_ylabel(f"mean {output}, 95 %")
    mean.xaxis.get_major_locator().set_params(integer=True)
    _load(load, done.seconds, done.replicas, "batch")
    return figure
