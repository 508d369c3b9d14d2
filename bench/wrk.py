"""Load from wrk: closed-loop clients, each with one connection."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from bench.places import CLIENT_CORE, pinned
from bench.servers import Running

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Load:
    """The result of a run of wrk; times in milliseconds.

    Attributes
    ----------
    cpu : seconds of the server's CPU time per request
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    max: float
    refused: int
    broken: int
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return (self.requests - self.refused) / self.seconds


def load(
    server: Running,
    connections: int,
    seconds: float,
    *,
    path: str = "/predict",
    dialect: str = "native",
    refusals: bool = False,
    close: bool = False,
    authorization: str = "",
) -> Load:
    """Send requests from this many connections for some seconds; see requests.lua for dialects.

    With `close` each request has its own connection.

    Raises
    ------
    RuntimeError
        wrk is not installed, or a request failed; a 503 is allowed with `refusals`.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed: on Debian, apt install wrk")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30"]
    command += ["-H", "Connection: close"] if close else []
    command += ["-H", f"Authorization: {authorization}"] if authorization else []
    command += ["--script", str(_SCRIPT), server.url, "--", path, dialect]
    before = server.cpu_seconds()
    done = subprocess.run(pinned(CLIENT_CORE, command), capture_output=True, text=True, check=True)
    run = Load(**json.loads(done.stdout.splitlines()[-1]))
    if run.broken or (run.refused and not refusals):
        counts = f"{run.refused} refused and {run.broken} broken requests"
        raise RuntimeError(f"{server.url}{path}: {counts}")
    return replace(run, cpu=(server.cpu_seconds() - before) / run.requests)
