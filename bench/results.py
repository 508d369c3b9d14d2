"""Measured results, stored in the build folder with the conditions of the run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import Any

from bench.places import RESULTS, ROOT, python

_SHOWN = {
    "gpserve": ("gunicorn", "uvicorn", "flask", "numpy"),
    "umbridge": ("umbridge", "aiohttp"),
    "fastapi": ("fastapi", "pydantic", "uvicorn"),
    "article": ("flask", "gunicorn", "gpy"),
    "mlserver": ("mlserver", "fastapi", "grpcio"),
    "litserve": ("litserve",),
    "bentoml": ("bentoml",),
    "toolkits": ("gpy", "scikit-learn", "numpy"),
}


def save(part: str, measured: Any) -> None:
    """Store a part's result."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    versions = {side: _versions(side) for side in _SHOWN}
    document = {"conditions": _conditions(), "versions": versions, "measured": measured}
    (RESULTS / f"{part}.json").write_text(json.dumps(document, indent=1))


def load(part: str) -> dict[str, Any] | None:
    """Return a part's latest result, or None."""
    file = RESULTS / f"{part}.json"
    return json.loads(file.read_text()) if file.exists() else None


def _conditions() -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "load": f"load {os.getloadavg()[2]:.1f} over 15 minutes",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "commit": f"commit {_commit()}",
    }


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions(side: str) -> str:
    program = (
        "import sys; from importlib.metadata import version\n"
        "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
    )
    command = [python(side), "-c", program, *_SHOWN[side]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
