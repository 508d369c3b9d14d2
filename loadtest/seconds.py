"""Answers, counted per second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Second:
    """The answers of one second, from all of Locust's processes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[float] = field(default_factory=Counter)

    @property
    def served(self) -> int:
        """Answers with a prediction."""
        return self.outcomes["ok"]

    @property
    def errors(self) -> int:
        """Answers without a prediction, and failures."""
        return self.outcomes.total() - self.served

    def quantile(self, share: float) -> float | None:
        """Return the milliseconds within which this share was answered, or None without answers."""
        wanted, counted = share * self.milliseconds.total(), 0
        for milliseconds in sorted(self.milliseconds):
            counted += self.milliseconds[milliseconds]
            if counted >= wanted:
                return milliseconds
        return None
