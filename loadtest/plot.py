"""The plot of a load test: load, latencies and replicas over one time axis."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loadtest.delays import Delays
from loadtest.timeline import Row


def column(timeline: list[Row], name: str) -> np.ndarray:
    """Return one field of all rows, NaN where it is missing."""
    values = [getattr(row, name) for row in timeline]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def draw_load(axes: Axes, timeline: list[Row], time: np.ndarray) -> None:
    """Draw offered and served load, and errors."""
    axes.plot(time, column(timeline, "offered"), color="0.5", lw=2, label="offered")
    axes.plot(time, column(timeline, "served"), color="tab:blue", lw=1, label="served")
    errors = column(timeline, "errors")
    axes.plot(time, errors, color="tab:red", lw=1, label=f"errors ({errors.sum():.0f} in total)")
    axes.set_ylabel("requests/s")


def draw_answers(axes: Axes, timeline: list[Row], time: np.ndarray) -> None:
    """Draw the median and the 99th percentile of the latencies."""
    axes.semilogy(time, column(timeline, "p99_ms"), color="tab:orange", lw=1, label="p99")
    axes.semilogy(time, column(timeline, "p50_ms"), color="tab:green", lw=1, label="p50")
    axes.set_ylabel("latency (ms)")


def draw_replicas(axes: Axes, timeline: list[Row], time: np.ndarray) -> None:
    """Draw desired and ready replicas, and the deciding metric over its target."""
    desired, ready = column(timeline, "desired"), column(timeline, "ready")
    axes.step(time, desired, where="post", color="0.5", lw=2, label="desired replicas")
    axes.step(time, ready, where="post", color="tab:blue", label="ready replicas")
    ratio = column(timeline, "ratio")
    if np.isfinite(ratio).any():
        name = next(row.metric for row in reversed(timeline) if row.metric)
        axes.plot(time, ratio, color="tab:purple", lw=1, ls=":", label=f"{name} / target")
    axes.set_ylabel("replicas")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def mark(axes: Axes, delays: Delays) -> None:
    """Shade the parts of the first scale-up."""
    moments = [delays.step, delays.metric, delays.decision, delays.ready]
    for begin, end, colour in zip(moments, moments[1:], ("gold", "orange", "tomato"), strict=False):
        if begin is not None and end is not None:
            axes.axvspan(begin, end, color=colour, alpha=0.35, lw=0)
    for moment in moments:
        if moment is not None:
            axes.axvline(moment, color="0.3", lw=0.7, ls="--")


def title_of(delays: Delays | None) -> str:
    """Return the delays as one line."""
    if delays is None:
        return ""
    parts = [f"{name} {s:.0f} s" for name, s in delays.parts().items() if s is not None]
    return "\n".join([" | ".join(parts[:-1]), parts[-1]] if parts else ["no scale-up"])


def draw(path: Path, timeline: list[Row], delays: Delays | None, title: str) -> None:
    """Write the plot."""
    time = np.array([row.second for row in timeline], dtype=float)
    parts = [draw_load, draw_answers]
    parts += [draw_replicas] if np.isfinite(column(timeline, "desired")).any() else []
    figure, panels = plt.subplots(
        len(parts), 1, sharex=True, figsize=(10, 3 * len(parts)), layout="constrained"
    )
    for axes, part in zip(panels, parts, strict=True):
        part(axes, timeline, time)
        if delays:
            mark(axes, delays)
        axes.legend(loc="upper right", fontsize="small")
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("time (s)")
    figure.suptitle(f"{title}\n{title_of(delays)}".strip(), fontsize="medium")
    figure.savefig(path, dpi=110)
    plt.close(figure)
