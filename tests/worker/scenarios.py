"""What is killed in each scenario of the kill tests, and how it comes back."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import children_of
from tests.helpers.stack import Process, Stack

AWAY_SECONDS = 30
JOB = {"Prefer": "respond-async"}


def kill_worker(made: Stack) -> None:
    """As the kernel does when memory is short: the worker and all its children."""
    victim = made.workers[0]
    _kill_tree(victim)
    victim.start()


def term_worker(made: Stack) -> None:
    made.workers[0].end(signal.SIGTERM)
    made.workers[0].start()


def kill_server(made: Stack) -> None:
    server = made.servers[0]
    _kill(server.process.pid)
    server.process.wait()
    again = Process(
        [sys.executable, "-m", "gunicorn", "service.app:app", f"--bind=127.0.0.1:{server.port}"],
        made.environ,
        made.folder / "server-again.log",
    )
    until(lambda: _is_free(server.port))  # once the orphan has noticed
    again.start()
    made.others.append(again)
    assert again.running is not None
    server.process = again.running


def _is_free(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def restart_redis(made: Stack) -> None:
    made.redis.end(signal.SIGTERM)
    made.redis.start()


def kill_redis(made: Stack) -> None:
    made.redis.end(signal.SIGKILL)
    made.redis.start()


def redis_away(made: Stack) -> None:
    made.redis.end(signal.SIGKILL)
    end = time.monotonic() + AWAY_SECONDS
    answers = {"predictions": set[int](), "job calls": set[int]()}
    while time.monotonic() < end:
        point = {"lat": -20, "long": 181, "depth": 500, "stations": 30}
        at_once = plainhttp.post(f"{made.http}/predict", json=point)
        job = plainhttp.post(f"{made.http}/predict", json=point, headers=JOB)
        answers["predictions"].add(at_once.status_code)
        answers["job calls"].add(job.status_code)
        time.sleep(1)
    made.redis.start()
    assert answers == {"predictions": {200}, "job calls": {503}}, answers


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda made: None,
    "worker, kill -9": kill_worker,
    "worker, SIGTERM": term_worker,
    "server, kill -9": kill_server,
    "Redis, restart": restart_redis,
    "Redis, kill -9": kill_redis,
    "Redis, away for 30 s": redis_away,
}


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return children_of(pid)
    return []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_tree(process: Process) -> None:
    assert process.running is not None
    for pid in [process.running.pid, *_children(process.running.pid)]:
        _kill(pid)
    process.running.wait()
