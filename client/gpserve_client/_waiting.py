"""What a job's document says, and how often to look."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gpserve_client.errors import JobFailed

FINAL = frozenset({"successful", "failed", "dismissed"})


@dataclass(frozen=True)
class JobStatus:
    """A job in the words of OGC API – Processes.

    Attributes
    ----------
    status : accepted, running, successful, failed or dismissed
    process : predict or train
    progress : 0 to 100
    members : the whole document
    """

    id: str
    status: str
    process: str
    progress: float
    message: str
    members: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read the document."""
        return cls(
            members["jobID"],
            members["status"],
            members.get("processID", ""),
            float(members.get("progress") or 0),
            members.get("message") or "",
            members,
        )

    @property
    def final(self) -> bool:
        """Whether it will change no more."""
        return self.status in FINAL

    def refuse_failed(self) -> None:
        """Raise `JobFailed` when it ended without a result."""
        if self.status in ("failed", "dismissed"):
            raise JobFailed(f"job {self.id} is {self.status}: {self.message}")


def pauses(timeout: float | None = None) -> Iterator[float]:
    """Seconds before each look at a job, none before the first; they end when `timeout` is over."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    yield 0.0
    for pause in itertools.chain((0.1, 0.1, 0.2, 0.3, 0.5), itertools.repeat(1.0)):
        rest = end - time.monotonic()
        if rest <= 0:
            return
        yield min(pause, rest)
