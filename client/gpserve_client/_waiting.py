"""Waiting for a job: how often to poll, and a progress bar."""

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
    """Yield the seconds to sleep before each poll, 0 before the first, until `timeout` is over."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    yield 0.0
    for pause in itertools.chain((0.1, 0.1, 0.2, 0.3, 0.5), itertools.repeat(1.0)):
        left = end - time.monotonic()
        if left <= 0:
            return
        yield min(pause, left)


class ProgressBar:
    """A progress bar for a job, in terminals and notebooks; does nothing unless `shown`."""

    def __init__(self, status: JobStatus, *, shown: bool) -> None:
        # stdout may be piped to another program
        self._progress = Progress(console=Console(stderr=True), disable=not shown)
        self._task = self._progress.add_task(status.process or "job", total=100)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, status: JobStatus) -> None:
        """Show the status and progress of the job."""
        description = f"{status.process} {status.status}"
        self._progress.update(self._task, completed=status.progress, description=description)
