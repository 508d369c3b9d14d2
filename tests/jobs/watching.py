"""Poll jobs over HTTP, as their owner would."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import httpx

from tests.helpers import plainhttp
from tests.helpers.stack import FINAL, Stack


class Watcher(threading.Thread):
    """Polls all jobs from a thread.

    Attributes
    ----------
    ended : when each job was first seen in a final state, on the monotonic clock
    status : the last status seen of each job
    changed : jobs whose final state changed
    """

    def __init__(self, system: Stack, ids: list[str]) -> None:
        super().__init__(daemon=True)
        self._system = system
        self._ids = ids
        self.ended: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.changed: list[str] = []
        self._finished = threading.Event()

    def run(self) -> None:
        with plainhttp.Client(base_url=self._system.http) as client:
            while not self._finished.is_set():
                for id in self._ids:
                    with suppress(httpx.TransportError):
                        self._look(client, id)
                time.sleep(0.2)

    def finish(self) -> None:
        """Stop polling."""
        self._finished.set()
        self.join()

    def _look(self, client: httpx.Client, id: str) -> None:
        answer = client.get(f"/jobs/{id}")
        if answer.status_code != 200:
            return
        status = answer.json()["status"]
        before = self.status.get(id, "")
        if before in FINAL and status != before:
            self.changed.append(id)
        if status in FINAL and id not in self.ended:
            self.ended[id] = time.monotonic()
        self.status[id] = status
