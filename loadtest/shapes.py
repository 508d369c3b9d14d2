"""Offered load over time, as straight lines between (seconds, requests/s) points."""

from __future__ import annotations

from dataclasses import dataclass

# Load of a working day, hour by hour, as a share between the lowest and the highest.
DAY = (
    *(0.05, 0.02, 0.0, 0.0, 0.02, 0.05, 0.12, 0.3, 0.65, 0.9, 1.0, 0.95),
    *(0.7, 0.75, 0.9, 0.95, 0.85, 0.6, 0.4, 0.3, 0.25, 0.2, 0.12, 0.08),
)


@dataclass(frozen=True)
class Shape:
    """Points in time order: two at the same time are a step, and the last one is the end."""

    points: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long the load lasts."""
        return self.points[-1][0]

    def rate(self, time: float) -> float:
        """Return the offered requests/s at a time; at a step, the rate after it."""
        for (t0, r0), (t1, r1) in zip(self.points, self.points[1:], strict=False):
            if t0 <= time < t1:
                return r0 + (r1 - r0) * (time - t0) / (t1 - t0)
        return 0.0 if not 0 <= time <= self.seconds else self.points[-1][1]

    def requests(self) -> float:
        """Return the total number of offered requests."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return sum((t1 - t0) * (r0 + r1) / 2 for (t0, r0), (t1, r1) in pairs)


def steps(rates: list[float], seconds: float) -> Shape:
    """Return constant rates, one after another, each for the same time."""
    each = seconds / len(rates)
    ends = [((i * each, rate), ((i + 1) * each, rate)) for i, rate in enumerate(rates)]
    return Shape(tuple(point for pair in ends for point in pair))


def ramp(low: float, high: float, seconds: float) -> Shape:
    """Return a linear increase."""
    return Shape(((0.0, low), (seconds, high)))


def day(low: float, high: float, seconds: float) -> Shape:
    """Return a working day from midnight to midnight, compressed into the given time."""
    hour = seconds / 24
    shares = [*DAY, DAY[0]]
    return Shape(tuple((i * hour, low + (high - low) * share) for i, share in enumerate(shares)))
