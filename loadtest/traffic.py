"""Locust in its own process, and its counts per second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from loadtest.seconds import Second
from loadtest.shapes import Shape
from loadtest.target import Target

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


class Traffic:
    """A running load test; a context manager that stops Locust at the end.

    Parameters
    ----------
    shape : the offered load
    target : the service
    points : points per request
    rate_per_user : requests/s per connection
    processes : Locust processes; one sends about 2,000 requests/s
    """

    def __init__(
        self,
        shape: Shape,
        target: Target,
        *,
        points: int = 1,
        rate_per_user: float = 10.0,
        processes: int = 1,
        timeout: float = 30.0,
    ) -> None:
        self.shape, self.processes = shape, processes
        self.folder = tempfile.TemporaryDirectory(prefix="loadtest-")
        self.seconds: dict[int, Second] = {}
        self._read: dict[Path, int] = {}
        self.plan = {
            "points": shape.points,
            "rate_per_user": rate_per_user,
            "bodies": target.bodies(200 if points < 100 else 3, points),
            "headers": target.headers,
            "path": "/predict",
            "timeout": timeout,
            "folder": self.folder.name,
        }
        parts = urlsplit(target.url)
        self.base = f"{parts.scheme}://{parts.netloc}"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", self.base]
        command += ["--headless", "--only-summary", "--loglevel", "WARNING", "--stop-timeout", "30"]
        command += ["--exit-code-on-error", "0"]
        if self.processes > 1:
            command += ["--processes", str(self.processes)]
        plan = Path(self.folder.name) / "plan.json"
        plan.write_text(json.dumps(self.plan))
        self.log = (Path(self.folder.name) / "locust.log").open("w+")
        self.process = subprocess.Popen(
            command,
            env={
                **os.environ,
                "LOADTEST_PLAN": str(plan),
                "PYTHONPATH": str(LOCUSTFILE.parents[1]),
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.started = self._started()
        return self

    def _started(self) -> float:
        """Return when Locust was ready, which takes seconds on a busy machine."""
        file = Path(self.folder.name) / "started"
        while not file.exists() and self.running:
            time.sleep(0.05)
        return float(file.read_text())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.process.terminate()
            self.process.wait(timeout=60)
        self.read()
        self.log.close()
        self.folder.cleanup()

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return time.time() - self.started

    @property
    def running(self) -> bool:
        """Whether Locust still runs.

        Raises
        ------
        RuntimeError
            Locust failed; the message includes its output.
        """
        code = self.process.poll()
        if code:
            self.log.seek(0)
            raise RuntimeError(f"locust ended with {code}: {self.log.read()[-2000:]}")
        return code is None

    def stop(self) -> None:
        """Stop Locust after the answers to requests already sent.

        A file tells it to stop: a signal may end it before it has written its last second.
        """
        (Path(self.folder.name) / "stop").touch()
        self.process.wait(timeout=60)

    def read(self) -> dict[int, Second]:
        """Return the counts so far, by second since the start."""
        for path in Path(self.folder.name).glob("*.jsonl"):
            with path.open() as file:
                file.seek(self._read.get(path, 0))
                text = file.read()
            complete = text[: text.rfind("\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(complete)
            for line in complete.splitlines():
                self._add(json.loads(line))
        return self.seconds

    def _add(self, line: dict[str, Any]) -> None:
        second = self.seconds.setdefault(line["second"], Second())
        second.outcomes.update(line["outcomes"])
        second.milliseconds.update({float(ms): count for ms, count in line["ms"].items()})

    def outcomes(self) -> Counter[str]:
        """Count all answers so far by "ok", an HTTP status, or the name of a connection error."""
        return sum((second.outcomes for second in self.read().values()), Counter())
