"""Traffic that records each answer: the model version it names, and its predictions."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from loadtest.target import Target

CALLERS = 20


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes
    ----------
    at : when it was complete, in seconds since the epoch
    outcome : "ok", an HTTP status, or the name of a connection error
    version : the model version that it names
    body : its body
    """

    at: float
    outcome: str
    version: str = ""
    body: bytes = b""


class VersionedTraffic:
    """Callers that repeat one request while the context is open; a context manager.

    Each has its own connection, and sends `rate / CALLERS` requests per second if the answers
    arrive fast enough.
    """

    def __init__(self, target: Target, rate: float, request: dict[str, Any]) -> None:
        self._address = urlsplit(target.url).netloc
        self._headers = {"Content-Type": "application/json", **target.headers}
        self._body = json.dumps(request)
        self._pause = CALLERS / rate
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(i,)) for i in range(CALLERS)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self.begun = time.time()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.ended = time.time()

    def _call(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        due = time.monotonic() + self._pause * number / CALLERS
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.answers.append(self._ask(connection))
            due += self._pause
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> Answer:
        try:
            connection.request("POST", "/predict", self._body, self._headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Answer(time.time(), type(error).__name__)
        outcome = "ok" if answer.status == 200 else str(answer.status)
        return Answer(time.time(), outcome, answer.headers["X-Model-Version"] or "", body)

    def outcomes(self) -> Counter[str]:
        """Return all answers so far, by outcome."""
        return Counter(answer.outcome for answer in self.answers)

    def last(self, version: str, since: float = 0.0) -> float | None:
        """Return when the last answer of a version arrived, if that was after `since`."""
        times = [each.at for each in self.answers if each.version == version and each.at > since]
        return max(times, default=None)

    def of(self, version: str) -> set[bytes]:
        """Return the distinct answers of a version."""
        return {each.body for each in self.answers if each.version == version}
