"""Start the real server in its own process, as a user would."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.starting import Started, start

ROOT = Path(__file__).parents[2]

ARTICLE = ("--workers=2",)
"""`gunicorn service.app:app --bind 0.0.0.0:5000 --workers=2`: the article's command."""
FLASK_ALONE = ("--worker-class=gthread", "--threads=8")
ONE_WORKER = ()


@dataclass
class Server:
    """A running server."""

    port: int
    process: Started
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        return children_of(self.process.pid)

    def connect(self) -> socket.socket:
        """Open a socket, for requests that no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def stop(self) -> int:
        """Send SIGTERM, as Kubernetes does, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


_ports: list[socket.socket] = []


def free_port() -> int:
    """Return a port that stays reserved while this process runs.

    A socket that is bound but not listening reserves it; a server that sets SO_REUSEADDR, as
    ours all do, can still listen on it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _ports.append(reserved)
    port: int = reserved.getsockname()[1]
    return port


@contextmanager
def serving(tmp: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """Run `gunicorn service.app:app` with more arguments and settings; yield it when ready."""
    port = free_port()
    environ = dict(os.environ)
    environ.update({f"GPSERVE_{name.upper()}": str(value) for name, value in settings.items()})
    environ.setdefault("GPSERVE_DRAIN_SECONDS", "0.3")
    log = tmp / f"server-{port}.log"
    command = [sys.executable, "-m", "gunicorn", "service.app:app", f"--bind=127.0.0.1:{port}"]
    process = start([*command, *arguments], environ, ROOT, log)
    server = Server(port, process, log)
    try:
        wait_ready(server)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def wait_ready(server: Server) -> None:
    """Wait until it answers; raise `RuntimeError` with its log if it exits first."""

    def ready() -> bool:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server did not start:\n{server.log.read_text()}")
        try:
            return plainhttp.get(f"{server.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    until(ready)
