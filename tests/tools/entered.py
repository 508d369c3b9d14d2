"""Record which files of service/ a request enters; `make entered` prints them.

A file is entered when one of its functions is called, in the server, in the worker or in the
worker's computing process. Each of them runs as usual, with a profiler. Calls that also happen
without a request are not counted, nor are the connection's files, which every request enters.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.jobs.queue import JOBS, TRAININGS
from tests.helpers import plainhttp
from tests.helpers.serving import ROOT
from tests.helpers.stack import stack
from tests.helpers.wire import REQUEST, read_answer
from tests.tools import profiler

CONNECTION = {
    f"asgi/{name}.py" for name in ("connection", "answering", "transport", "upgrades", "worker")
}

HEADER = "id,lat,long,depth,stations\n"
TABLE = HEADER + "a,-20,181,500,30\nb,-21,182,90,60\n"
LONG_TABLE = HEADER + "a,-20,181,500,30\n" * 600
"""More rows than a large tile, which all CPUs share."""

LANES = JOBS, TRAININGS
"""The threads of a worker that wait for messages and do them."""

_IDLE_SECONDS = 7.0
"""Longer than the longest interval of any background thread (the worker's sweeper)."""

_TIMES = 3
"""A file counts that is entered each time: a thread's first job enters others, and from time to
time a worker sweeps."""

_SETTLE_SECONDS = 1.5
"""A worker still counts a job when its result can be fetched already."""

Call = tuple[str, str, str]
"""A file, a function in it, and the name of the calling thread."""


class Recorder:
    """Records calls in all processes that start after its construction."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        start = folder / "start"
        start.mkdir()
        shutil.copy(profiler.__file__, start / "sitecustomize.py")
        self._output = folder / "calls"
        self._background: set[Call] = set()
        path = os.pathsep.join(filter(None, (str(start), os.environ.get("PYTHONPATH"))))
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv(profiler.OUTPUT, str(self._output))
        monkeypatch.setenv(profiler.FOLDER, f"{ROOT / 'service'}{os.sep}")

    def calls(self, action: Callable[[], object]) -> set[Call]:
        """Return the calls during an action and shortly after it."""
        self._output.touch()
        action()
        time.sleep(_SETTLE_SECONDS)
        lines = self._output.read_text().splitlines()
        self._output.unlink()
        found = set()
        for line in lines:
            file, function, thread = line.split("\t")
            found.add((file, function, thread))
        return found

    def learn_background(self) -> None:
        """Record the calls that happen without a request, and ignore them from now on."""
        self._background = self.calls(lambda: time.sleep(_IDLE_SECONDS))

    def files(self, action: Callable[[], object]) -> list[str]:
        """Return the files that are entered each time during an action."""
        return sorted(set.intersection(*(self._files(action) for _ in range(_TIMES))))

    def _files(self, action: Callable[[], object]) -> set[str]:
        threads = {thread for *_, thread in self._background} - {"MainThread", *LANES}
        calls = self.calls(action) - self._background
        entered = {file for file, _, thread in calls if thread not in threads}
        return entered - CONNECTION


@contextmanager
def recorded(folder: Path) -> Iterator[Recorder]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Recorder(folder, monkeypatch)


def entered(folder: Path) -> dict[str, list[str]]:
    """Return the files that one point, one table and one job enter.

    One of each is sent first, so that models are loaded and connections to Redis are open.
    """
    with recorded(folder) as recorder, stack(folder / "stack") as running:
        address = f"{running.http}/predict"
        table = {"file": ("input.csv", TABLE)}

        def point() -> None:
            # In one piece, as most clients send it: another function waits for the rest of it.
            with running.servers[0].connect() as wire:
                wire.sendall(REQUEST)
                assert read_answer(wire)[0] == 200

        def upload() -> None:
            accept = {"Accept": "text/csv"}
            plainhttp.post(address, files=table, headers=accept).raise_for_status()

        def job() -> None:
            prefer = {"Prefer": "respond-async"}
            long = {"file": ("input.csv", LONG_TABLE)}
            accepted = plainhttp.post(address, files=long, headers=prefer).raise_for_status()
            path = accepted.headers["Location"]
            assert running.follow(path.rpartition("/")[2])["status"] == "successful"
            results = f"{running.http}{path}/results"
            plainhttp.get(results, headers={"Accept": "text/csv"}).raise_for_status()

        actions = {"one JSON point": point, "one CSV upload": upload, "one job": job}
        for action in actions.values():
            action()
        # What is left of the last job must not count as background.
        time.sleep(2 * _SETTLE_SECONDS)
        recorder.learn_background()
        return {name: recorder.files(action) for name, action in actions.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, files in entered(Path(folder)).items():
            print(f"{name}: {len(files)} files")
            for file in files:
                print(f"  {file}")


if __name__ == "__main__":
    main()
