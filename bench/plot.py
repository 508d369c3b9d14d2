"""The plots of the comparisons with other servers and toolkits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from bench import model
from bench.sides import SIDES

_PANELS = (
    ("rate", 1.0, "requests per second"),
    ("p99", 1.0, "99th percentile, ms"),
    ("memory", 1.0, "memory (PSS), MB"),
)


_COLOURS = dict(zip(model.SIDES, ("#1b6ca8", "#d1495b", "#8a9ba8"), strict=True))


def draw_model(measured: dict[str, Any], file: Path) -> None:
    """Draw a panel for each number of training points: points per second by points per call."""
    figure, axes = plt.subplots(1, len(measured), figsize=(14, 3.2))
    for axis, (size, rates) in zip(axes, measured.items(), strict=True):
        for side, colour in _COLOURS.items():
            values = [rates[f"{side} {points}"] for points in model.CALLS]
            axis.loglog(model.CALLS, values, color=colour, label=side, marker=".")
        axis.set_title(f"N = {size}", fontsize=10)
        axis.set_xlabel("points per call")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("points per second")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw(measured: dict[str, Any], file: Path) -> None:
    """Draw panels for rate, latency and memory, with one bar per side."""
    figure, axes = plt.subplots(1, len(_PANELS), figsize=(12, 2.8), sharey=True)
    names = list(reversed(measured))
    titles = [SIDES[name].title.replace("*", "").split(":")[0] for name in names]
    colours = ["#1b6ca8" if name == "gpserve" else "#b8c4cc" for name in names]
    for axis, (key, scale, label) in zip(axes, _PANELS, strict=True):
        bars = axis.barh(titles, [measured[name][key] * scale for name in names], color=colours)
        axis.bar_label(bars, fmt="{:,.0f}" if key != "p99" else "{:.1f}", padding=3)
        axis.set_xlabel(label)
        axis.margins(x=0.35)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
