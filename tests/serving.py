"""Starts the real server in a process of its own, as a user would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests import plainhttp

ROOT = Path(__file__).parent.parent

ARTICLE = ("--workers=2",)
"""`gunicorn service.app:app --bind 0.0.0.0:5000 --workers=2`: the article's command."""
FLASK_ALONE = ("--worker-class=gthread", "--threads=8")
ONE_WORKER = ()


@dataclass
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Ask it to stop, as Kubernetes does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextmanager
def serving(tmp: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """`gunicorn service.app:app` with more arguments and settings, ready."""
    port = free_port()
    environ = dict(os.environ)
    environ.update({f"GPSERVE_{name.upper()}": str(value) for name, value in settings.items()})
    environ.setdefault("GPSERVE_DRAIN_SECONDS", "0.3")
    log = tmp / f"server-{port}.log"
    command = [sys.executable, "-m", "gunicorn", "service.app:app", f"--bind=127.0.0.1:{port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=environ, stdout=out, stderr=out
        )
    server = Server(port, process, log)
    try:
        _wait_ready(server)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def _wait_ready(server: Server) -> None:
    for _ in range(300):
        if server.process.poll() is not None:
            break
        try:
            if plainhttp.get(f"{server.url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{server.log.read_text()}")
