"""The delays of a scale-up: load step → metric → decision → first new pod ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loadtest.samples import Pod
from loadtest.shapes import Shape
from loadtest.timeline import Row

TOLERANCE = 1.1
"""The HPA ignores a metric within 10 % of its target (Kubernetes' default)."""


@dataclass(frozen=True)
class Delays:
    """Times of the first scale-up, in seconds since the start; None if it did not happen."""

    step: float
    metric: float | None = None
    decision: float | None = None
    ready: float | None = None

    def parts(self) -> dict[str, float | None]:
        """Return the seconds from each time to the next, and in total."""
        return {
            "load step → metric seen": difference(self.metric, self.step),
            "metric seen → decision": difference(self.decision, self.metric),
            "decision → first new pod ready": difference(self.ready, self.decision),
            "load step → first new pod ready": difference(self.ready, self.step),
        }

    def __str__(self) -> str:
        lines = [
            f"{name:<32} {'-' if seconds is None else f'{seconds:5.1f} s'}"
            for name, seconds in self.parts().items()
        ]
        return "\n".join(lines)


def difference(later: float | None, earlier: float | None) -> float | None:
    """Return the seconds between two times, or None if one is missing."""
    return None if later is None or earlier is None else later - earlier


def step_of(shape: Shape) -> float:
    """Return the time of the largest step, or of the start of the steepest rise."""
    pairs = list(zip(shape.points, shape.points[1:], strict=False))
    jumps = [(r1 - r0, t0) for (t0, r0), (t1, r1) in pairs if t0 == t1]
    slopes = [((r1 - r0) / (t1 - t0), t0) for (t0, r0), (t1, r1) in pairs if t1 > t0]
    rising = [jump for jump in jumps if jump[0] > 0] or slopes
    return max(rising, key=lambda each: (each[0], -each[1]))[1]


def measure(shape: Shape, timeline: list[Row], pods: Iterable[Pod]) -> Delays:
    """Return the delays of the first scale-up after the load's largest step."""
    step = step_of(shape)
    after = [row for row in timeline if row.second >= int(step)]
    before = next((row.desired for row in after if row.desired is not None), None)
    metric = next((row.second for row in after if row.ratio and row.ratio > TOLERANCE), None)
    decision = next((row.second for row in after if (row.desired or 0) > (before or 0)), None)
    # Our sample of the metrics API may be later than the HPA's own.
    metric = decision if metric is None or (decision is not None and metric > decision) else metric
    ready = min(
        (pod.ready for pod in pods if pod.ready is not None and pod.created >= int(step)),
        default=None,
    )
    return Delays(step, metric, decision, ready)
