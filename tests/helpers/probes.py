"""Probe a server while a test keeps it busy."""

from __future__ import annotations

import threading
import time

from tests.helpers import plainhttp


class Probe:
    """Asks /healthz on new connections, and keeps the longest wait."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.slowest = 0.0

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            started = time.monotonic()
            assert plainhttp.get(f"{self._url}/healthz").status_code == 200
            self.slowest = max(self.slowest, time.monotonic() - started)
