"""A progress bar for jobs, in terminals and notebooks."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import Progress

from gpserve_client._waiting import JobStatus


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
