"""Traffic whose answers are kept: which version each says it is of, and what it predicts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from loadtest.target import Target


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes
    ----------
    at : when it had come, in seconds since the epoch
    outcome : "ok", an HTTP status, or the name of a connection's error
    version : the version that it names
    body : its text
    """

    at: float
    outcome: str
    version: str = ""
    body: str = ""


class Asking:
    """Sends one request `rate` times a second, until it is left; a context manager.

    A request is sent when it is due, whether those before it are answered or not.
    """

    def __init__(self, target: Target, rate: float, request: dict[str, Any]) -> None:
        self._target, self._rate, self._request = target, rate, request
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()))
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _send(self) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        async with (
            httpx.AsyncClient(
                base_url=self._target.url,
                headers=self._target.headers,
                limits=limits,
                timeout=30,
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic()
            while not self._stop.is_set():
                group.create_task(self._ask(client))
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.post("/predict", json=self._request)
        except httpx.HTTPError as error:
            self.answers.append(Answer(time.time(), type(error).__name__))
            return
        outcome = "ok" if answer.is_success else str(answer.status_code)
        version = answer.headers.get("X-Model-Version", "")
        self.answers.append(Answer(time.time(), outcome, version, answer.text))

    def outcomes(self) -> Counter[str]:
        """Return all answers so far, by outcome."""
        return Counter(answer.outcome for answer in self.answers)

    def last(self, version: str, since: float = 0.0) -> float | None:
        """Return when the last answer of a version had come, none before `since` counted."""
        times = [each.at for each in self.answers if each.version == version and each.at > since]
        return max(times, default=None)

    def of(self, version: str) -> set[str]:
        """Return the different answers of a version."""
        return {each.body for each in self.answers if each.version == version}
