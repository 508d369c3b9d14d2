"""Follows jobs from outside, as their owner would."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import httpx

from tests.helpers import plainhttp
from tests.helpers.stack import FINAL, Stack


class Watcher(threading.Thread):
    """Follows all jobs on a thread.

    Attributes
    ----------
    ended : when each job was first seen at its end, monotonic
    status : what each was seen to be last
    changed : jobs whose final state changed
    """

    def __init__(self, made: Stack, ids: list[str]) -> None:
        super().__init__(daemon=True)
        self._made = made
        self._ids = ids
        self.ended: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.changed: list[str] = []
        self._finished = threading.Event()

    def run(self) -> None:
        with plainhttp.Client(base_url=self._made.http) as client:
            while not self._finished.is_set():
                for id in self._ids:
                    with suppress(httpx.TransportError):
                        self._look(client, id)
                time.sleep(0.2)

    def finish(self) -> None:
        """Follow them no longer."""
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
