"""Estimated seconds of accepted work, for backpressure and for autoscalers."""

from __future__ import annotations

import threading

from service.services.errors import busy

_REMEMBERED_POINTS = 200
"""About how many points the moving average of the cost per point covers."""

_FORGETTING = 1.01
"""The factor by which the fastest measurement grows per call, until a new one is faster."""


class Backlog:
    """Points that are waiting or being computed, and the cost of one.

    Parameters
    ----------
    limit_seconds : estimated work beyond which `refuse_if_full` refuses
    seconds_per_point : the first estimate
    """

    def __init__(self, limit_seconds: float, seconds_per_point: float) -> None:
        self._limit = limit_seconds
        self._lock = threading.Lock()
        self._points = 0
        self.seconds_per_point = seconds_per_point
        self._quickest_point = seconds_per_point
        self._quickest_call = 0.0

    @property
    def seconds(self) -> float:
        """Estimated seconds until everything accepted is answered."""
        return self._points * self.seconds_per_point

    def refuse_if_full(self) -> None:
        """Raise a `Problem` 503 when new work would wait too long."""
        waiting = self._points * self.seconds_per_point
        if waiting > self._limit:
            raise busy(f"about {waiting:.1f} s of work is already waiting", waiting)

    def add(self, points: int) -> None:
        """Add accepted points."""
        with self._lock:
            self._points += points

    def done(self, points: int, seconds: float | None = None) -> None:
        """Remove finished points; `seconds` is how long they took, if that was measured."""
        with self._lock:
            self._points -= points
            if seconds is None:
                return
            measured = seconds / points
            weight = points / (points + _REMEMBERED_POINTS)
            self.seconds_per_point += weight * (measured - self.seconds_per_point)
            self._quickest_point = min(measured, self._quickest_point * _FORGETTING)
            self._quickest_call = min(seconds, self._quickest_call * _FORGETTING or seconds)

    def at_best(self, points: int) -> float:
        """Return how many seconds a call with this many points takes on an idle processor."""
        return max(self._quickest_call, points * self._quickest_point)
