"""The table of kill tests: `python -m tests.jobs.killing` runs them all and prints it.

Each scenario has a stack of its own: a Redis, a server, two workers, and a hundred jobs in flight
when a process is killed.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx
import numpy as np

from service.jobs.documents import RUNNING, Documents
from service.services.answering import pieces
from service.services.chunks import Chunk, Source
from service.services.options import PLAIN
from service.services.prediction import Limits
from tests.jobs.slow import SlowGPR
from tests.jobs.stack import FINAL, Process, Stack, stack, until
from tests.serving import ROOT

HEADERS = {"Content-Type": "application/x-npy", "Accept": "text/csv", "Prefer": "respond-async"}
DISMISSED_OF = 10
"""One of so many jobs is dismissed before the kill, and must stay so."""

BIG_OF = 10
AWAY_SECONDS = 30


@dataclass
class Outcome:
    """A row of the table."""

    scenario: str
    jobs: int
    lost: int
    wrong: int
    recovered: float
    total: float
    remarks: list[str] = field(default_factory=list)

    def row(self) -> str:
        """The row in Markdown."""
        said = "; ".join(self.remarks)
        return (
            f"| {self.scenario} | {self.jobs} | {self.lost} | {self.wrong} "
            f"| {self.recovered:.0f} | {self.total:.0f} | {said} |"
        )


HEAD = (
    "| killed while 100 jobs are in flight | jobs | lost | wrong state or bytes | "
    "s until what ran had ended | s until all had ended | |\n" + "| --- " * 7 + "|"
)


def kill_worker(made: Stack) -> None:
    """As the kernel does when memory is short: the worker and all its children."""
    victim = made.workers[0]
    _kill_tree(victim)
    victim.start()


def term_worker(made: Stack) -> None:
    made.workers[0].end(signal.SIGTERM)
    made.workers[0].start()


def kill_server(made: Stack) -> None:
    server = made.servers[0]
    _kill(server.process.pid)
    server.process.wait()
    again = Process(
        [sys.executable, "-m", "gunicorn", "service.app:app", f"--bind=127.0.0.1:{server.port}"],
        made.environ,
        made.folder / "server-again.log",
    )
    time.sleep(2)  # the orphan notices and leaves the port
    again.start()
    made.others.append(again)
    assert again.running is not None
    server.process = again.running


def restart_redis(made: Stack) -> None:
    made.redis.end(signal.SIGTERM)
    made.redis.start()


def kill_redis(made: Stack) -> None:
    made.redis.end(signal.SIGKILL)
    made.redis.start()


def redis_away(made: Stack) -> None:
    made.redis.end(signal.SIGKILL)
    end = time.monotonic() + AWAY_SECONDS
    answers = {"predictions": set[int](), "job calls": set[int]()}
    while time.monotonic() < end:
        point = {"lat": -20, "long": 181, "depth": 500, "stations": 30}
        at_once = httpx.post(f"{made.http}/predict", json=point, timeout=30)
        job = httpx.post(f"{made.http}/predict", json=point, headers=HEADERS, timeout=30)
        answers["predictions"].add(at_once.status_code)
        answers["job calls"].add(job.status_code)
        time.sleep(1)
    made.redis.start()
    assert answers == {"predictions": {200}, "job calls": {503}}, answers


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda made: None,
    "worker, kill -9": kill_worker,
    "worker, SIGTERM": term_worker,
    "server, kill -9": kill_server,
    "Redis, restart": restart_redis,
    "Redis, kill -9": kill_redis,
    "Redis, away for 30 s": redis_away,
}


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_tree(process: Process) -> None:
    assert process.running is not None
    for pid in [process.running.pid, *_children(process.running.pid)]:
        _kill(pid)
    process.running.wait()


class Watcher(threading.Thread):
    """Follows all jobs; notes when each ended, and any final state that changed."""

    def __init__(self, made: Stack, ids: list[str]) -> None:
        super().__init__(daemon=True)
        self._made = made
        self._ids = ids
        self.ended: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.changed: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            for id in self._ids:
                with suppress(httpx.TransportError):
                    self._look(id)
            time.sleep(0.2)

    def _look(self, id: str) -> None:
        answer = httpx.get(f"{self._made.http}/jobs/{id}", timeout=20)
        if answer.status_code != 200:
            return
        status = answer.json()["status"]
        before = self.status.get(id, "")
        if before in FINAL and status != before:
            self.changed.append(f"{id}: {before} became {status}")
        if status in FINAL and id not in self.ended:
            self.ended[id] = time.monotonic()
        self.status[id] = status


def _points(model: SlowGPR, i: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    low, high = model.description.training_range.T
    rows = 6000 if i % BIG_OF == 0 else 300
    return np.random.default_rng(i).uniform(low, high, (rows, len(low)))


def _expected(model: SlowGPR, i: int) -> bytes:
    X = _points(model, i)
    quick = super(SlowGPR, model).predict
    source = Source(list(model.feature_names), (len(X),), iter([Chunk(X)]))
    limits = Limits(0, 0)
    answer = pieces(
        model, source, PLAIN, "text/csv", lambda m, X, noise: quick(X, noise=noise), limits
    )
    return b"".join(answer)


def _submit(made: Stack, model: SlowGPR, count: int) -> list[str]:
    ids = []
    for i in range(count):
        body = io.BytesIO()
        np.save(body, _points(model, i))
        answer = httpx.post(
            f"{made.http}/predict", content=body.getvalue(), headers=HEADERS, timeout=60
        )
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["jobID"])
    return ids


def run(scenario: str, folder: Path, *, count: int = 100, debian: bool = False) -> Outcome:
    """One scenario from start to end."""
    model = SlowGPR.load(ROOT / "service" / "pretrained.npz")
    expected = [_expected(model, i) for i in range(count)]
    name = "tests.jobs.slow:SlowGPR"
    with stack(folder, workers=2, debian=debian, model_class=name, chunk_seconds=0.5) as made:
        documents = Documents(made.client(), 0)
        ids = _submit(made, model, count)
        dismissed = ids[count // 2 :: DISMISSED_OF]
        for id in dismissed:
            httpx.delete(f"{made.http}/jobs/{id}", timeout=60).raise_for_status()
        watcher = Watcher(made, ids)
        watcher.start()
        until(lambda: len(watcher.ended) > len(dismissed) + count // 20, 120)
        running = [id for id in ids if documents.status(id) == RUNNING]
        killed = time.monotonic()
        SCENARIOS[scenario](made)
        with suppress(TimeoutError):
            until(lambda: len(watcher.ended) == count, 300)
        watcher.stop.set()
        watcher.join()
        lost = [id for id in ids if id not in watcher.ended]
        wrong = list(watcher.changed)
        for i, id in enumerate(ids):
            if not _is_right(made, watcher, id, id in dismissed, expected[i]) and id not in lost:
                wrong.append(id)
        last = {id: watcher.ended.get(id, time.monotonic()) - killed for id in ids}
        recovered = max((last[id] for id in running), default=0.0)
        outcome = Outcome(scenario, count, len(lost), len(wrong), recovered, max(last.values()))
        outcome.remarks = _remarks(made)
    return outcome


def _is_right(made: Stack, watcher: Watcher, id: str, dismissed: bool, expected: bytes) -> bool:
    if dismissed:
        return watcher.status.get(id) == "dismissed"
    result = httpx.get(f"{made.http}/jobs/{id}/results", timeout=60)
    return watcher.status.get(id) == "successful" and result.content == expected


def _remarks(made: Stack) -> list[str]:
    logs = "".join(worker.log.read_text() for worker in made.workers)
    said = {
        "jobs queued again by the sweeper": logs.count("it is queued again"),
        "lost deliveries given back": logs.count("were lost on the way"),
    }
    return [f"{number} {what}" for what, number in said.items() if number]


@click.command()
@click.option("--debian", is_flag=True, help="Use Debian's redis-server.")
@click.option("--jobs", default=100, show_default=True)
@click.option("--only", type=click.Choice(list(SCENARIOS)))
def main(debian: bool, jobs: int, only: str | None) -> None:
    """Run the scenarios and print the table."""
    if debian and not shutil.which("redis-server"):
        raise click.ClickException("redis-server is not installed: apt-get install redis-server")
    click.echo(HEAD)
    bad = 0
    for scenario in [only] if only else SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(scenario, Path(folder), count=jobs, debian=debian)
        click.echo(outcome.row())
        bad += outcome.lost + outcome.wrong
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
