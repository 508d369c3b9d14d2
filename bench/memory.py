"""The memory of a server while it works."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from bench.servers import Running

_INTERVAL_SECONDS = 0.25


class Watch:
    """A context in which a thread samples the server's memory."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.before = server.megabytes()
        self.peak = self.before

    @property
    def growth(self) -> float:
        """Megabytes between the first and the largest sample."""
        return self.peak - self.before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._end.wait(_INTERVAL_SECONDS):
            self.peak = max(self.peak, self._server.megabytes())
