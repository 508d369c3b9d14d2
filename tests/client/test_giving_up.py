"""A split prediction that fails or is interrupted sends no more requests."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from gpserve_client import Client, ServiceError

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.inprocess import WSGI, in_process
from tests.helpers.patience import PATIENCE_SECONDS, until

LONG = "15"
"""Seconds; waiting for it takes much longer than a test that gives up."""


class Full:
    """Answers 503 to every prediction and counts how often each was sent.

    If `refuses`, the part that comes last is answered with 400.
    """

    def __init__(self, app: WSGI, parts: int, *, refuses: bool) -> None:
        self._app, self._parts, self._refuses = app, parts, refuses
        self._lock = threading.Lock()
        self.seen: Counter[bytes] = Counter()

    @property
    def all_came(self) -> bool:
        return len(self.seen) >= self._parts

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != "/predict":
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        with self._lock:
            self.seen[body] += 1
            last = self._refuses and len(self.seen) == self._parts
        return self._refusal(start_response, "400 No" if last else "503 Full")

    def _refusal(self, start_response: Callable[..., Any], status: str) -> Iterable[bytes]:
        start_response(status, [("Retry-After", LONG), ("Content-Length", "0")])
        return []


def _parts(gpr: GPR, count: int) -> FloatArray:
    """Return distinct points for `count` requests of 256."""
    low, high = gpr.description.training_range.T
    return np.linspace(low, high, 256 * count)


def test_other_requests_stop_when_one_fails(gpserve: WSGI, gpr: GPR) -> None:
    full = Full(gpserve, 4, refuses=True)
    with (
        in_process(full) as url,
        Client(url, rows=256, concurrency=4, attempts=3) as gp,
        pytest.raises(ServiceError, match="400"),
    ):
        gp.predict(_parts(gpr, 6))
    assert full.all_came
    assert max(full.seen.values()) == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as in a terminal; a shell lets background processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_waiting_for_retries(gpserve: WSGI, gpr: GPR) -> None:
    full = Full(gpserve, 4, refuses=False)

    def interrupt() -> None:
        until(lambda: full.all_came)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=interrupt)
    with in_process(full) as url, Client(url, rows=256, concurrency=4, attempts=2) as gp:
        gp.model()
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            gp.predict(_parts(gpr, 6))
        pressing.join()
        until(lambda: not _threads())
    assert list(full.seen.values()) == [1] * 4


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_does_not_wait_for_pending_answers(gpserve: WSGI, gpr: GPR) -> None:
    came, gate = threading.Event(), threading.Event()

    def held(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] == "/predict":
            came.set()
            assert gate.wait(PATIENCE_SECONDS)
        return gpserve(environ, start_response)

    def interrupt() -> None:
        came.wait(PATIENCE_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=interrupt)
    with in_process(held) as url, Client(url, rows=256, concurrency=2, timeout=1000) as gp:
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            gp.predict(_parts(gpr, 6))
        assert not gate.is_set()
        gate.set()
        pressing.join()
        until(lambda: not _threads())


def _threads() -> list[threading.Thread]:
    """Return the threads of the client that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("gpserve_")]
