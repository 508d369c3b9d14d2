"""Traffic and cluster on one time axis, one row per second, and the CSV of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from loadtest.samples import Sample
from loadtest.seconds import Second
from loadtest.shapes import Shape


@dataclass
class Row:
    """One second of a load test. Replicas are None without a cluster.

    `metric` is the HPA metric that is furthest above its target; the HPA adds pods when `ratio` is
    above 1.
    """

    second: int
    offered: float
    served: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    desired: int | None = None
    ready: int | None = None
    pending: int | None = None
    terminating: int | None = None
    metric: str = ""
    value: float | None = None
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        """The metric's value over its target."""
        return None if self.value is None or not self.target else self.value / self.target


def rows(shape: Shape, seconds: dict[int, Second], samples: Iterable[Sample]) -> list[Row]:
    """Return a row for every second of the shape, and of the samples after it."""
    by_second = {int(sample.time): sample for sample in samples}
    last = max([int(shape.seconds), *by_second, *seconds])
    timeline, latest = [], None
    for second in range(last):
        row = Row(second, shape.rate(second + 0.5))
        if second in seconds:
            add_traffic(row, seconds[second])
        latest = by_second.get(second, latest)  # a slow sample leaves no gap
        if latest:
            add_cluster(row, latest)
        timeline.append(row)
    return timeline


def add_traffic(row: Row, second: Second) -> None:
    """Fill in the answers."""
    row.served, row.errors = second.served, second.errors
    row.p50_ms, row.p99_ms = second.quantile(0.5), second.quantile(0.99)


def add_cluster(row: Row, sample: Sample) -> None:
    """Fill in replicas, pods and the deciding metric."""
    row.desired, row.ready = sample.desired, sample.ready
    row.pending = sample.pods["Pending"] + sample.pods["Starting"]
    row.terminating = sample.pods["Terminating"]
    if sample.metrics:
        row.metric = max(sample.metrics, key=lambda name: over(sample.metrics[name]))
        row.value, row.target = sample.metrics[row.metric]


def over(metric: tuple[float, float]) -> float:
    """Return a metric's value over its target."""
    return metric[0] / metric[1]


def write_csv(path: Path, timeline: list[Row]) -> None:
    """Write the rows with their field names as the header."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)])
        writer.writeheader()
        writer.writerows(
            {name: rounded(value) for name, value in asdict(row).items()} for row in timeline
        )


def rounded(value: object) -> object:
    """Return a float rounded to three digits, or any other value."""
    return round(value, 3) if isinstance(value, float) else value
