"""Redis, a server and workers: real processes that can be killed and restarted."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis import Redis, RedisError

from service.local import valkey
from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.serving import ROOT, Server, free_port, serving
from tests.helpers.starting import Started, start

if TYPE_CHECKING:
    from tests.worker.powercut import Disk

TOKEN = {"Authorization": "Bearer secret"}
KEYS = dict.fromkeys(("mine", "other", "lister", "patient"), "predict")
KEYS |= {"trainer": "train", "reader": "read"}
"""Names of keys, each with its role; `bearer` returns the header."""


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{name}"}


def write_keys(path: Path, **limits: str) -> Path:
    """Write a file of the `KEYS`, with further lines for those that have some."""
    entries = []
    for name, role in KEYS.items():
        digest = hashlib.sha256(f"key-of-{name}".encode()).hexdigest()
        entry = f'[{name}]\nsha256 = "{digest}"\nroles = ["{role}"]\n{limits.get(name, "")}\n'
        entries.append(entry)
    path.write_text("\n".join(entries))
    return path


FINAL = {"successful", "failed", "dismissed"}


@dataclass
class Process:
    """A process that can be restarted."""

    command: Sequence[str]
    environ: dict[str, str]
    log: Path
    running: Started | None = None

    def start(self) -> None:
        self.running = start(self.command, self.environ, ROOT, self.log)

    def send(self, number: signal.Signals) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        self.send(number)
        return self.running.wait(PATIENCE_SECONDS) if self.running is not None else 0


@dataclass
class Stack:
    """The running processes of one test, and their addresses."""

    folder: Path
    environ: dict[str, str]
    redis: Process
    url: str
    servers: list[Server] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    others: list[Process] = field(default_factory=list)
    disk: Disk | None = None

    @property
    def http(self) -> str:
        return self.servers[0].url

    def add_worker(self, prefix: Sequence[str] = (), **settings: object) -> Process:
        environ = self.environ | {
            "GPSERVE_WORKER_BIND": f"127.0.0.1:{free_port()}",
            **{f"GPSERVE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        log = self.folder / f"worker-{len(self.workers)}.log"
        command = [*prefix, sys.executable, "-m", "service", "worker"]
        worker = Process(command, environ, log)
        worker.start()
        self.workers.append(worker)
        return worker

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def wait_for_redis(self) -> None:
        def answers() -> bool:
            try:
                return bool(self.client().ping())
            except RedisError:
                return False

        until(answers)

    def follow(
        self, id: str, headers: dict[str, str] = TOKEN, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """Wait until a job has ended, and return its document, as whoever has the headers' key."""
        return until(lambda: self._ended(id, headers), seconds)

    def _ended(self, id: str, headers: dict[str, str]) -> dict[str, Any] | None:
        answer = plainhttp.get(f"{self.http}/jobs/{id}", headers=headers)
        document: dict[str, Any] = answer.json()
        return document if document.get("status") in FINAL else None


def valkey_command(folder: Path) -> tuple[list[str], str]:
    """Return the command that starts the Valkey of the package, and its URL."""
    return valkey.command(folder), valkey.url_of(folder)


def debian_command(folder: Path) -> tuple[list[str], str]:
    """Return the command that starts Debian's redis-server, as in a cluster, and its URL."""
    program = shutil.which("redis-server")
    assert program
    port = str(free_port())
    command = [program, "--port", port, "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always"]
    return command, f"redis://127.0.0.1:{port}/0"


@contextmanager
def stack(
    folder: Path,
    *,
    workers: int = 1,
    debian: bool = False,
    store: str = "",
    arguments: Sequence[str] = (),
    **settings: object,
) -> Iterator[Stack]:
    """Run Redis, a server and workers in a folder."""
    data = folder / "redis"
    data.mkdir(parents=True)
    command, url = (debian_command if debian else valkey_command)(data)
    settings = {"redis_url": url, "token": "secret", "drain_seconds": 0.3} | settings
    settings |= {"store": store or f"file://{folder / 'store'}"}
    settings |= {"keys": settings.get("keys") or write_keys(folder / "keys.toml")}
    environ = {f"GPSERVE_{name.upper()}": str(value) for name, value in settings.items()}
    redis = Process(command, dict(os.environ), folder / "redis.log")
    system = Stack(folder, os.environ | environ, redis, url)
    redis.start()
    try:
        system.wait_for_redis()
        with ExitStack() as servers:
            running = serving(folder, *arguments, **settings)
            system.servers.append(servers.enter_context(running))
            for _ in range(workers):
                system.add_worker()
            yield system
    finally:
        for process in system.others:
            process.end(signal.SIGTERM)
        for process in [*system.workers, redis]:
            process.end()
