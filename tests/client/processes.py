"""Ask each of several serving processes behind one address."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from tests.helpers import plainhttp
from tests.helpers.serving import Server


def each_alone(server: Server) -> Iterator[None]:
    """Yield once for every process, while the others are stopped and accept no connection.

    Otherwise any process may accept a connection, and a busy one may accept none.
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
    versions = [plainhttp.get(f"{server.url}/model").json()["version"] for _ in each_alone(server)]
    return set(versions) == {version}


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, number)
