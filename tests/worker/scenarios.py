"""The scenarios of the kill tests: which process is killed, and how it restarts."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import httpx

from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import children_of
from tests.helpers.stack import Process, Stack

AWAY_SECONDS = 30
JOB = {"Prefer": "respond-async"}
CSV = {"Content-Type": "text/csv"}
POWER_CUT = "everything, power cut"

_KEY = {"Idempotency-Key": "the upload of the power cut"}
_ROW = b"-20,181,500,30\n"
_ROWS = 20_000
_HALF = _ROW * (_ROWS // 2)
_HEAD = "".join(f"{name}: {value}\r\n" for name, value in (CSV | JOB | _KEY).items())
_HALF_AN_UPLOAD = (
    f"POST /predict HTTP/1.1\r\nHost: x\r\n{_HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    + b"%x\r\n%b\r\n" % (len(_HALF), _HALF)
)


def kill_worker(system: Stack) -> None:
    """Kill a worker and all its children, as the kernel does when memory runs out."""
    victim = system.workers[0]
    _kill_tree(victim)
    victim.start()


def term_worker(system: Stack) -> None:
    system.workers[0].end(signal.SIGTERM)
    system.workers[0].start()


def kill_server(system: Stack) -> None:
    server = system.servers[0]
    _kill(server.process.pid)
    server.process.wait()
    _serve_again(system)


def _serve_again(system: Stack) -> None:
    server = system.servers[0]
    again = Process(
        [sys.executable, "-m", "gunicorn", "service.app:app", f"--bind=127.0.0.1:{server.port}"],
        system.environ,
        system.folder / "server-again.log",
    )
    until(lambda: _is_free(server.port))  # once the orphaned workers have exited
    again.start()
    system.others.append(again)
    assert again.running is not None
    server.process = again.running


def _is_free(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def restart_redis(system: Stack) -> None:
    system.redis.end(signal.SIGTERM)
    system.redis.start()


def kill_redis(system: Stack) -> None:
    system.redis.end(signal.SIGKILL)
    system.redis.start()


def redis_away(system: Stack) -> None:
    system.redis.end(signal.SIGKILL)
    end = time.monotonic() + AWAY_SECONDS
    answers = {"predictions": set[int](), "job calls": set[int]()}
    while time.monotonic() < end:
        point = {"lat": -20, "long": 181, "depth": 500, "stations": 30}
        at_once = plainhttp.post(f"{system.http}/predict", json=point)
        job = plainhttp.post(f"{system.http}/predict", json=point, headers=JOB)
        answers["predictions"].add(at_once.status_code)
        answers["job calls"].add(job.status_code)
        time.sleep(1)
    system.redis.start()
    assert answers == {"predictions": {200}, "job calls": {503}}, answers


def cut_power(system: Stack) -> None:
    """Lose what is not on the disk, and all processes, while jobs run and an upload arrives.

    Jobs that were accepted go on, and the upload is sent again with its idempotency key.
    """
    assert system.disk is not None
    with system.servers[0].connect() as upload:
        upload.sendall(_HALF_AN_UPLOAD)
        until(lambda: any((system.folder / "store" / "jobs").rglob("input*.part")))
        system.disk.cut()
        for process in (*system.workers, system.redis):
            _kill_tree(process)
        server = system.servers[0].process
        for pid in (server.pid, *_children(server.pid)):
            _kill(pid)
        server.wait()
    system.disk.restore()
    system.redis.start()
    system.wait_for_redis()
    _serve_again(system)
    for worker in system.workers:
        worker.start()
    again = until(lambda: _accepted(system))
    ended = system.follow(again)
    assert (ended["status"], ended["points"]["done"]) == ("successful", _ROWS), ended


def _accepted(system: Stack) -> str:
    """Send the whole of the upload; return the job's id, or nothing before the key is free."""
    try:
        answer = plainhttp.post(
            f"{system.http}/predict", content=_ROW * _ROWS, headers=CSV | JOB | _KEY
        )
    except httpx.TransportError:
        return ""
    assert answer.status_code in (202, 409, 503), answer.text
    return str(answer.json()["jobID"]) if answer.status_code == 202 else ""


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda system: None,
    "worker, kill -9": kill_worker,
    "worker, SIGTERM": term_worker,
    "server, kill -9": kill_server,
    "Redis, restart": restart_redis,
    "Redis, kill -9": kill_redis,
    "Redis, away for 30 s": redis_away,
    POWER_CUT: cut_power,
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
