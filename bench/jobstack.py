"""A server, its private Valkey and workers, each on its own core."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench import curl
from bench.places import BUILD, CLIENT_CORE, ROOT, SERVER_CORE, python
from bench.servers import GPSERVE, Running, running

_WORKER_CORES = (CLIENT_CORE, SERVER_CORE)
"""The first worker leaves the server its core; the second shares it while the server is idle."""

_PATIENCE_SECONDS = 600


@dataclass
class FinishedJob:
    """A successful job, with the seconds from its acceptance to its end."""

    id: str
    seconds: float


@dataclass
class JobStack:
    """A server with workers that compute its jobs."""

    server: Running

    def submit(self, file: Path) -> str:
        """Send a CSV file as a job, and return its id."""
        curl.submit(self.server.url + "/predict", file)
        return str(json.loads(curl.ANSWER.read_text())["jobID"])

    def run(self, file: Path) -> FinishedJob:
        """Send a CSV file as a job and wait until it is done."""
        id = self.submit(file)
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            job = self._document(id)
            if job["status"] == "successful":
                times = (datetime.fromisoformat(job[key]) for key in ("created", "finished"))
                created, finished = times
                return FinishedJob(id, (finished - created).total_seconds())
            if job["status"] == "failed":
                break
            time.sleep(0.2)
        raise RuntimeError(f"the job did not succeed: {job}")

    def dismiss(self, id: str) -> None:
        """Cancel a job."""
        with urlopen(Request(f"{self.server.url}/jobs/{id}", method="DELETE"), timeout=60):
            pass

    def _document(self, id: str) -> dict[str, Any]:
        with urlopen(f"{self.server.url}/jobs/{id}", timeout=60) as answer:
            return dict(json.load(answer))


@contextmanager
def job_stack(workers: int) -> Iterator[JobStack]:
    """Serve the bundled model with this many workers, on data in a temporary folder."""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder, ExitStack() as processes:
        environment = {
            "GPSERVE_DATA": folder,
            "GPSERVE_REDIS_URL": f"unix://{folder}/valkey.sock",
            "GPSERVE_STORE": f"file://{folder}/store",
            "GPSERVE_MAX_SYNC_SECONDS": "3600",  # the synchronous answer is measured, too
        }
        processes.enter_context(_valkey(environment))
        server = processes.enter_context(running("local", GPSERVE, environment=environment))
        for core in _WORKER_CORES[:workers]:
            worker = running(
                "local", ["-m", "service", "worker"], core=core, environment=environment
            )
            processes.enter_context(worker)
        yield JobStack(server)


@contextmanager
def _valkey(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [python("local"), "-m", "service", "valkey"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
