"""Run a scenario while a hundred jobs are in flight, and check every job afterwards."""

from __future__ import annotations

import io
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from service.jobs.ledger import Ledger
from service.jobs.records import DISMISSED, RUNNING, SUCCESSFUL
from service.model import FloatArray
from service.services.chunks import Chunk, Source
from service.services.options import PLAIN
from service.services.prediction import Limits
from service.services.writing import pieces
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import ROOT
from tests.helpers.stack import Stack, stack
from tests.jobs.slow import SlowGPR
from tests.jobs.watching import Watcher
from tests.worker.powercut import disk
from tests.worker.scenarios import POWER_CUT, SCENARIOS

HEADERS = {"Content-Type": "application/x-npy", "Accept": "text/csv", "Prefer": "respond-async"}
DISMISSED_EVERY = 10
"""Every tenth job is dismissed before the kill, and must stay dismissed."""

BIG_EVERY = 10
"""Every tenth job is large enough to be split into chunks."""

_PATIENCE_SECONDS = 300


@dataclass
class Outcome:
    """One row of the table.

    Attributes
    ----------
    recovered : seconds from the kill until the jobs running at that time had ended
    total : seconds from the kill until all jobs had ended
    """

    scenario: str
    jobs: int
    lost: int
    wrong: int
    recovered: float
    total: float
    remarks: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return the row in Markdown."""
        remarks = "; ".join(self.remarks)
        return (
            f"| {self.scenario} | {self.jobs} | {self.lost} | {self.wrong} "
            f"| {self.recovered:.0f} | {self.total:.0f} | {remarks} |"
        )


def run(scenario: str, folder: Path, *, count: int = 100, debian: bool = False) -> Outcome:
    """Run one scenario from start to end, with its own processes."""
    model = SlowGPR.load(ROOT / "service" / "pretrained.npz")
    name = "tests.jobs.slow:SlowGPR"
    with ExitStack() as until_the_end:
        lossy = None
        if scenario == POWER_CUT:
            lossy = until_the_end.enter_context(disk(folder))
            folder = lossy.folder / "stack"
        running_stack = stack(folder, workers=2, debian=debian, model_class=name, chunk_seconds=0.5)
        system = until_the_end.enter_context(running_stack)
        system.disk = lossy
        ids = _submit(system, model, count)
        dismissed = {id for id in ids[count // 2 :: DISMISSED_EVERY] if _dismiss(system, id)}
        watcher = Watcher(system, ids)
        watcher.start()
        until(lambda: len(watcher.ended) > len(dismissed) + count // 20)
        ledger = Ledger(system.client(), 0)
        running = [id for id in ids if ledger.status(id) == RUNNING]
        killed = time.monotonic()
        SCENARIOS[scenario](system)
        with suppress(TimeoutError):
            until(lambda: len(watcher.ended) == count, _PATIENCE_SECONDS)
        watcher.finish()
        with threadpool_limits(1, "blas"):  # as in the service: the bits are compared
            wrong = _wrong(system, watcher, ids, dismissed, model)
        last = {id: watcher.ended.get(id, time.monotonic()) - killed for id in ids}
        return Outcome(
            scenario,
            count,
            count - len(watcher.ended),
            wrong,
            max((last[id] for id in running), default=0.0),
            max(last.values()),
            _remarks(system),
        )


def _submit(system: Stack, model: SlowGPR, count: int) -> list[str]:
    ids = []
    for i in range(count):
        body = io.BytesIO()
        np.save(body, _points(model, i))
        answer = plainhttp.post(f"{system.http}/predict", content=body.getvalue(), headers=HEADERS)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["jobID"])
    return ids


def _dismiss(system: Stack, id: str) -> bool:
    """Return whether the job was dismissed; one that has already ended must not change."""
    answer = plainhttp.delete(f"{system.http}/jobs/{id}").raise_for_status()
    return bool(answer.json()["status"] == DISMISSED)


def _points(model: SlowGPR, i: int) -> FloatArray:
    low, high = model.description.training_range.T
    rows = 6000 if i % BIG_EVERY == 0 else 300
    return np.random.default_rng(i).uniform(low, high, (rows, len(low)))


def _wrong(
    system: Stack, watcher: Watcher, ids: list[str], dismissed: set[str], model: SlowGPR
) -> int:
    """Count the ended jobs that changed afterwards, or have a wrong state or wrong bytes."""
    wrong = set(watcher.changed)
    for i, id in enumerate(ids):
        status = watcher.status.get(id)
        if id not in watcher.ended:
            continue
        if id in dismissed:
            right = status == DISMISSED
        else:
            result = plainhttp.get(f"{system.http}/jobs/{id}/results")
            right = status == SUCCESSFUL and result.content == _expected(model, i)
        if not right:
            wrong.add(id)
    return len(wrong)


def _expected(model: SlowGPR, i: int) -> bytes:
    """Compute the body of a synchronous response, in this process."""
    X = _points(model, i)
    quick = super(SlowGPR, model).predict
    source = Source(list(model.feature_names), (len(X),), iter([Chunk(X)]))
    limits = Limits(0, 0)
    answer = pieces(
        model, source, PLAIN, "text/csv", lambda m, X, noise: quick(X, noise=noise), limits
    )
    return b"".join(answer)


def _remarks(system: Stack) -> list[str]:
    logs = "".join(worker.log.read_text() for worker in system.workers)
    counts = {
        "jobs queued again by the sweeper": logs.count("it is queued again"),
        "lost deliveries given back": logs.count("were lost on the way"),
    }
    return [f"{number} {what}" for what, number in counts.items() if number]
