"""The CPU that `make run` takes while nobody calls it, and how soon a job then begins."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

import click
import psutil

from bench.places import BUILD
from bench.servers import Running, running
from bench.tables import table

TITLE = "Idle"
SECONDS = 60
JOBS = 30
_PAUSE_SECONDS = 1.37
"""Between two jobs; not a multiple of any interval of the service."""

_SETTLE_SECONDS = 5
_PATIENCE_SECONDS = 60


def measure() -> dict[str, Any]:
    """Measure the CPU of all processes over a minute, and then the starts of some jobs."""
    with _everything() as server:
        time.sleep(_SETTLE_SECONDS)
        before, started = _by_process(server), time.monotonic()
        time.sleep(SECONDS)
        took = time.monotonic() - started
        after = _by_process(server)
        shares = {name: (after[name] - before.get(name, 0.0)) / took for name in after}
        click.echo(", ".join(f"{name} {share:.2%}" for name, share in shares.items()))
        waits = [_wait_for_start(server.url) for _ in range(JOBS)]
    return {"shares": shares, "waits": waits}


@contextmanager
def _everything() -> Iterator[Running]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        environment = {"GPSERVE_DATA": folder, "GPSERVE_WORKER_BIND": "127.0.0.1:0"}
        arguments = ["-m", "service", "up"]
        with running("local", arguments, core=None, environment=environment) as server:
            yield server


def _by_process(server: Running) -> dict[str, float]:
    """Return the CPU seconds of each program so far, with its children, by name."""
    seconds: dict[str, float] = {}
    for process in [server.process, *server.process.children(recursive=True)]:
        times = process.cpu_times()
        name = _name(process)
        seconds[name] = seconds.get(name, 0.0) + times.user + times.system
    return seconds


def _name(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if "valkey-server" in line or "redis-server" in line:
        return "Valkey"
    if "supervisord" in line:
        return "supervisord"
    return "worker and its processes" if "worker" in line or "spawn" in line else "server"


def _wait_for_start(url: str) -> float:
    """Send a job of one point, and return the seconds from its acceptance to its start."""
    time.sleep(_PAUSE_SECONDS)
    body = json.dumps({"lat": -20, "long": 181, "depth": 500, "stations": 30}).encode()
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    with urlopen(Request(f"{url}/predict", body, headers), timeout=60) as answer:
        path = answer.headers["Location"]
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        with urlopen(url + path, timeout=60) as answer:
            job = json.load(answer)
        if job["status"] == "successful":
            created, started = (datetime.fromisoformat(job[key]) for key in ("created", "started"))
            return (started - created).total_seconds()
        time.sleep(0.02)
    raise RuntimeError(f"the job did not succeed: {job}")


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the targets."""
    shares, waits = measured["shares"], measured["waits"]
    rows = [[name, f"{share:.2%}"] for name, share in sorted(shares.items())]
    rows.append(["all (target 1 %)", f"{sum(shares.values()):.2%}"])
    opening = (
        f"`make run` that nobody calls: CPU time of every process over {SECONDS} s, of one core. "
        f"Then {len(waits)} jobs of one point, one at a time: a worker begins one "
        f"{1e3 * median(waits):.0f} ms after it is accepted (median; the longest "
        f"{1e3 * max(waits):.0f} ms, target 200 ms)."
    )
    return f"{opening}\n\n{table(['', 'of a core'], rows)}"
