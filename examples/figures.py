"""The plots of the examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from examples.genetic import Generation
    from examples.montecarlo import Propagation

BLUE, GREY, AMBER = "#1c5d8c", "#8c979f", "#b36b00"


def _panels(rows: int) -> tuple[Figure, Any]:
    """Return a figure 1200 pixels wide at 150 dpi, and its panels."""
    figure = Figure(figsize=(8, 1.8 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, 1)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.align_ylabels(panels)
    return figure, panels


def _share_axis(panels: Sequence[Any], unit: str, count: int) -> None:
    """Give all panels the same horizontal axis, labelled below the last."""
    for panel in panels:
        panel.set_xlim(0.5, count + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.tick_params(labelbottom=panel is panels[-1])
    panels[-1].set_xlabel(unit)


def _draw_load(panels: Sequence[Any], seconds: Sequence[float], replicas: Sequence[int]) -> None:
    """Draw seconds and replicas as bars."""
    x = np.arange(1, len(seconds) + 1)
    panels[0].bar(x, seconds, color=GREY, width=0.8)
    panels[0].set_ylabel("seconds")
    panels[1].bar(x, replicas, color=AMBER, width=0.8)
    panels[1].set_ylabel("replicas that\nanswered")
    panels[1].set_ylim(0, max(replicas) + 0.5)
    panels[1].yaxis.get_major_locator().set_params(integer=True)


def generations_figure(history: Sequence[Generation], output: str) -> Figure:
    """Return the plot of the bound, the seconds and the replicas of each generation."""
    x = np.arange(1, len(history) + 1)
    figure, (bounds, *load) = _panels(3)
    bounds.plot(x, [g.best for g in history], color=BLUE, linewidth=2, label="best")
    bounds.plot(x, [g.median for g in history], color=BLUE, linestyle=":", label="median")
    bounds.set_ylabel(f"bound of {output}")
    bounds.legend(frameon=False)
    _draw_load(load, [g.seconds for g in history], [g.replicas for g in history])
    _share_axis([bounds, *load], "generation", len(history))
    return figure


def propagation_figure(done: Propagation, output: str) -> Figure:
    """Return the plot of the output's distribution, and of the mean and cost after each batch."""
    draws = np.concatenate(done.draws)
    figure, (histogram, mean, *load) = _panels(4)
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
    _draw_load(load, done.seconds, done.replicas)
    _share_axis([mean, *load], "batch", len(x))
    return figure
