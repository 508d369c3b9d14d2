"""Load by wrk: closed-loop clients, each with one connection."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.places import CLIENT_CORE, pinned

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Load:
    """What a run of wrk saw; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    max: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return (self.requests - self.refused) / self.seconds


def load(
    url: str,
    connections: int,
    seconds: float,
    *,
    path: str = "/predict",
    dialect: str = "native",
    refusals: bool = False,
    close: bool = False,
) -> Load:
    """Send requests from so many connections for some seconds; see requests.lua for dialects.

    With `close` each request has a connection of its own.

    Raises
    ------
    RuntimeError
        wrk is absent, or a request failed; a 503 is allowed with `refusals`.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed: on Debian, apt install wrk")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30"]
    command += ["-H", "Connection: close"] if close else []
    command += ["--script", str(_SCRIPT), url, "--", path, dialect]
    said = subprocess.run(pinned(CLIENT_CORE, command), capture_output=True, text=True, check=True)
    seen = Load(**json.loads(said.stdout.splitlines()[-1]))
    if seen.broken or (seen.refused and not refusals):
        raise RuntimeError(f"{url}{path}: {seen.refused} refused and {seen.broken} broken requests")
    return seen
