"""What was answered, second by second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Second:
    """What was answered in one second, over all of Locust's processes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[float] = field(default_factory=Counter)

    @property
    def served(self) -> int:
        """Answers with a prediction."""
        return self.outcomes["ok"]

    @property
    def errors(self) -> int:
        """Everything else."""
        return self.outcomes.total() - self.served

    def quantile(self, share: float) -> float | None:
        """Return the milliseconds within which this share was answered; None without answers."""
        wanted, seen = share * self.milliseconds.total(), 0
        for milliseconds in sorted(self.milliseconds):
            seen += self.milliseconds[milliseconds]
            if seen >= wanted:
                return milliseconds
        return None
