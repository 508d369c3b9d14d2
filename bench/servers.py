"""Start a server on its core, wait until it answers, measure its memory, stop it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

from bench.places import BUILD, RESULTS, ROOT, SERVER_CORE, pinned, python

_PATIENCE_SECONDS = 30
GPSERVE = ["-m", "gunicorn", "service.app:app"]
_OURS = ("gpserve", "local")


@dataclass
class Running:
    """A running server.

    Attributes
    ----------
    seconds_to_ready : from the start of the process to the first answer on its ready path
    """

    process: psutil.Popen
    port: int
    seconds_to_ready: float = field(default=0.0)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def megabytes(self) -> float:
        """Return the memory of the process and its children, shared pages counted once (PSS)."""
        return float(sum(member.memory_full_info().pss for member in self._family())) / 1e6

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process and its children so far."""
        times = [member.cpu_times() for member in self._family()]
        return float(sum(time.user + time.system for time in times))

    def each_cpu_seconds(self) -> list[float]:
        """Return the CPU time of each serving process so far."""
        times = [worker.cpu_times() for worker in self.process.children()]
        return [float(time.user + time.system) for time in times]

    def pids(self) -> list[int]:
        """Return the ids of the process and its children."""
        return [member.pid for member in self._family()]

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def model_file(size: int | None) -> str:
    """Return the path of the model with `size` training points, or of the bundled one."""
    return str(BUILD / "models" / f"n{size}.npz" if size else ROOT / "service" / "pretrained.npz")


@contextmanager
def running(
    side: str,
    arguments: list[str],
    size: int | None = None,
    *,
    ready: str = "/readyz",
    core: int | None = SERVER_CORE,
    environment: dict[str, str] | None = None,
) -> Iterator[Running]:
    """Run Python in the environment of `side` with `arguments`, in which PORT is replaced.

    Raises
    ------
    RuntimeError
        The server ended or did not answer; the message names its log.
    """
    port = free_port()
    command = [python(side), *(part.replace("PORT", str(port)) for part in arguments)]
    if core is not None:
        command = pinned(core, command)
    model = model_file(size)
    address = f"127.0.0.1:{port}"
    variables = {"GPSERVE_MODEL": model, "BENCH_MODEL": model}
    variables |= {"GPSERVE_BIND": address, "GPSERVE_WORKER_BIND": address}
    log = RESULTS / f"{side}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as output:
        started = time.perf_counter()
        process = psutil.Popen(
            command,
            cwd=ROOT if side in _OURS else BUILD,  # gunicorn.conf.py must not affect the peers
            env=os.environ | {"PYTHONPATH": str(ROOT)} | variables | (environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Running(process, port)
    try:
        _wait(server, ready, f"{side} did not start, see {log}")
        server.seconds_to_ready = time.perf_counter() - started
        yield server
    finally:
        _stop(process)


def _wait(server: Running, path: str, failure: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            with urlopen(server.url + path, timeout=5):
                return
        except HTTPError as answer:
            if answer.code == 404:  # it has no such path, but answers
                return
            time.sleep(0.005)
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.005)
    raise RuntimeError(failure)


def _stop(process: psutil.Popen) -> None:
    family = [process]  # a server may end without its children
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
        process.terminate()
    _, left = psutil.wait_procs([process], 15)
    for member in [*left, *family[1:]]:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
