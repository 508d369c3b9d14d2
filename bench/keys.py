"""What a key costs: the check on the event loop, and a key whose requests are counted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path
from statistics import median
from typing import Any

from bench import wrk
from bench.places import ROOT, SERVER_CORE, pinned, python
from bench.servers import GPSERVE, running
from bench.tables import table

TITLE = "Keys"
KEYS = 1000
ROUNDS = 5
SECONDS = 3
_CALLS, _REPEATS = 100_000, 7
_LIMIT = "requests_per_second = 1000000\n"


def measure() -> dict[str, Any]:
    """Measure the check alone, and the CPU time of whole requests in interleaved rounds."""
    command = pinned(SERVER_CORE, [python("gpserve"), "-m", "bench.keys"])
    alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.toml"
        headers = _write_keys(file)
        rounds: dict[str, list[float]] = {name: [] for name in headers}
        with running("gpserve", GPSERVE, 500, environment={"GPSERVE_KEYS": str(file)}) as server:
            for _ in range(ROUNDS):
                for name, header in headers.items():
                    before = server.cpu_seconds()
                    load = wrk.load(server.url, 16, SECONDS, authorization=header)
                    spent = (server.cpu_seconds() - before) / load.requests
                    rounds[name].append(spent * 1e6)
    return {"check": json.loads(alone.stdout), "request": {n: median(s) for n, s in rounds.items()}}


def _write_keys(file: Path) -> dict[str, str]:
    """Write a file of many keys; return the ``Authorization`` of callers of each kind."""
    from hashlib import sha256

    entries = []
    for i in range(KEYS):
        digest = sha256(f"key {i}".encode()).hexdigest()
        limit = _LIMIT if i == 1 else ""
        entries.append(f'[caller-{i}]\nsha256 = "{digest}"\nroles = ["predict"]\n{limit}')
    file.write_text("\n".join(entries))
    return {"no key": "", "a key": "Bearer key 0", "a key with a limit": "Bearer key 1"}


def check_alone() -> dict[str, float]:
    """Return the microseconds that the check takes on the event loop, by kind of caller."""
    from service.runtime.keys import Keys
    from service.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.toml"
        headers = _write_keys(file)
        keys = Keys(Settings(keys=str(file)))
        found = {}
        for name, header in list(headers.items())[:2]:
            keys.identify(header)
            given = header.encode()

            def check(given: bytes = given) -> bool:
                caller = keys.remembered(given) if given else keys.anonymous
                return caller is not None and "predict" in caller.roles

            found[name] = min(timeit.repeat(check, number=_CALLS, repeat=_REPEATS)) / _CALLS * 1e6
        return found


def markdown(measured: dict[str, Any]) -> str:
    """Return the table and the target."""
    alone = {name: f"{us:.2f} µs" for name, us in measured["check"].items()}
    rows = [[name, alone.get(name, ""), f"{us:.0f} µs"] for name, us in measured["request"].items()]
    opening = (
        f"A file of {KEYS} keys. The check alone is the least of {_REPEATS} timings (target 5 µs). "
        f"Requests have one point, N = 500, 16 connections, median of {ROUNDS} interleaved rounds; "
        "those of a key with a limit are counted, here without Redis, and answered by Flask."
    )
    return f"{opening}\n\n{table(['caller', 'check', 'CPU per request'], rows)}"


if __name__ == "__main__":
    json.dump(check_alone(), sys.stdout)
