"""The serving processes behind one address, each asked for itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from tests import plainhttp
from tests.serving import Server


def each_alone(server: Server) -> Iterator[None]:
    """Once for every process, while the others are stopped and can take no new connection.

    Left to themselves the processes take what comes first, and a busy one may take nothing.
    """
    pids = server.workers
    for alone in pids:
        others = [pid for pid in pids if pid != alone]
        _send(signal.SIGSTOP, others)
        try:
            yield
        finally:
            _send(signal.SIGCONT, others)


def all_serve(server: Server, version: str) -> bool:
    """Whether every process serves this version."""
    said = [plainhttp.get(f"{server.url}/model").json()["version"] for _ in each_alone(server)]
    return set(said) == {version}


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, number)
