"""Start `python -m` programs by forking a process that has already imported their packages.

Imports take two thirds of a server's start-up time, and the tests start a hundred servers and
workers. When branch coverage is measured, the commands run as users run them instead, because
coverage does not follow forked processes.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

_PROGRAMS = ("gunicorn", "service")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "a2wsgi",
        "apispec",
        "dramatiq.brokers.redis",
        "flask_swagger_ui",
        "gunicorn.app.wsgiapp",
        "httptools",
        "msgspec",
        "numpy",
        "pythonjsonlogger",
        "threadpoolctl",
        "uvicorn_worker",
        "uvloop",
        "werkzeug.serving",
    ]
)
# Modules that read the environment on import are left out: service.app and prometheus_client.


class Forked:
    """A forked process, with the methods of `subprocess.Popen`."""

    def __init__(self, args: list[str], environ: dict[str, str], folder: Path, log: Path) -> None:
        self.args = args
        self._process = _context.Process(target=_run, args=(args[2:], environ, folder, log))
        self._process.start()
        self.pid: int = self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit status (negative for a signal), or None while it runs."""
        self._process.join(0)
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process exits, and return its exit status."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        self.send_signal(SIGKILL)


Started = subprocess.Popen[bytes] | Forked


def start(command: Sequence[str], environ: dict[str, str], folder: Path, log: Path) -> Started:
    """Start a command and append its output to a log."""
    args = list(command)
    is_ours = args[:2] == [sys.executable, "-m"] and args[2] in _PROGRAMS
    # A forked process has started already, so it would not see a PYTHONPATH.
    if is_ours and "PYTHONPATH" not in environ and not _counts_branches():
        return Forked(args, environ, folder, log)
    with log.open("ab") as out:
        return subprocess.Popen(args, cwd=folder, env=environ, stdout=out, stderr=out)


def _counts_branches() -> bool:
    return "COVERAGE_PROCESS_CONFIG" in os.environ


def _run(args: list[str], environ: dict[str, str], folder: Path, log: Path) -> None:
    """Do what `python -m` does, in the forked process."""
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:0] = [str(folder)]
    sys.argv = args
    try:
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
