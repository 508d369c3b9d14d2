"""What a job's document says, and how often to look."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Self

from rich.console import Console
from rich.progress import Progress

from gpserve_client.answers import JobStatus


def pauses(timeout: float | None = None) -> Iterator[float]:
    """Seconds before each look at a job, none before the first; they end when `timeout` is over."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    yield 0.0
    for pause in itertools.chain((0.1, 0.1, 0.2, 0.3, 0.5), itertools.repeat(1.0)):
        rest = end - time.monotonic()
        if rest <= 0:
            return
        yield min(pause, rest)


class Bar:
    """A bar of 100 that follows a job; nothing when it is not `shown`."""

    def __init__(self, status: JobStatus, *, shown: bool) -> None:
        # what the program prints may be piped to another
        self._progress = Progress(console=Console(stderr=True), disable=not shown)
        self._task = self._progress.add_task(status.process or "job", total=100)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, status: JobStatus) -> None:
        """Move to where the job is."""
        said = f"{status.process} {status.status}"
        self._progress.update(self._task, completed=status.progress, description=said)
