"""Work that is done twice: by a worker that was thought to be dead, and by the one after it.

The workers are in this process, one call after the other, so that each test says who does what and
when. Redis, the server and the computations are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import httpx
import numpy as np
import pytest

from service.gpr import GPR
from service.jobs.ledger import Ledger
from service.jobs.queue import NAMESPACE, PARTS, QUEUES, Queue, make_broker
from service.jobs.records import Job
from service.jobs.specs import BEGIN
from service.settings import Settings
from service.storage import open_blobs
from service.storage.redis import connect
from service.storage.versions import Versions
from service.worker import messages
from service.worker.childprocess import ComputingProcess
from service.worker.computing import Computer
from service.worker.health import WorkerMetrics
from service.worker.work import Work
from tests.helpers import plainhttp
from tests.helpers.modelfiles import another
from tests.helpers.stack import TOKEN, Stack, stack

ROWS = 3000
TILES, WHOLE = 1e-9, 1000.0
"""Seconds per part for parts of one tile, and for one part."""

CSV = {"Content-Type": "text/csv", "Accept": "text/csv"}
KINDS = ["text/csv", "application/json", "application/x-npy"]


class Killed(BaseException):
    """The worker is killed."""


class Here(ComputingProcess):
    """Computes in this process; `then` is called with an outcome before the worker hears of it."""

    def __init__(self, settings: Settings) -> None:
        self._computer = Computer(settings, cast(Connection, None))
        self.then: Callable[[messages.Task, messages.Message], object] = lambda task, outcome: None

    def run(
        self,
        task: messages.Task,
        watch: Callable[[], None],
        on_progress: Callable[[messages.Progress], None],
    ) -> messages.Message:
        outcome = self._computer.do(task)
        self.then(task, outcome)
        return outcome


class Workers:
    """Makes workers that share the queue of a stack, and hands them its messages."""

    def __init__(self, system: Stack) -> None:
        self._settings = Settings(redis_url=system.url, store=f"file://{system.folder / 'store'}")
        self.redis = connect(system.url)
        self.ledger = Ledger(self.redis, 3600)
        broker = make_broker(self.redis)
        self._consumers = [broker.consume(queue, 1, 0) for queue in QUEUES]

    def add(self, chunk_seconds: float) -> tuple[Work, Here]:
        """A worker whose parts take so many seconds, and its computing process."""
        values = {"store": self._settings.store, "chunk_seconds": chunk_seconds}
        here = Here(Settings(redis_url=self._settings.redis_url, **values))  # type: ignore[arg-type]
        versions = Versions(open_blobs(self._settings.store))
        return Work(self.ledger, Queue(self.redis), versions, here, WorkerMetrics()), here

    def messages(self) -> Iterator[tuple[str, int]]:
        """Take the messages out of the queue, one by one, until there are none."""
        while True:
            for consumer in self._consumers:
                message = next(consumer)
                if message is not None:
                    consumer.ack(message)
                    yield message.args
                    break
            else:
                return

    def job(self, id: str) -> Job:
        job = self.ledger.get(id)
        assert job is not None
        return job


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("twice"), workers=0) as running:
        yield running


@pytest.fixture
def workers(system: Stack) -> Iterator[Workers]:
    workers = Workers(system)
    yield workers
    list(workers.messages())


@pytest.fixture(scope="module")
def http(system: Stack) -> Iterator[httpx.Client]:
    with plainhttp.Client(base_url=system.http) as client:
        yield client


def _body() -> bytes:
    X = np.random.default_rng(5).uniform([-38, 166, 40, 10], [-11, 188, 680, 132], (ROWS, 4))
    return b"lat,long,depth,stations\n" + b"".join(b"%f,%f,%f,%f\n" % tuple(x) for x in X.tolist())


BODY = _body()


def _submit(http: httpx.Client, workers: Workers) -> str:
    """Send a job, and take its message as a worker does."""
    answer = http.post("/predict", content=BODY, headers=CSV | {"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    id = str(answer.json()["jobID"])
    assert list(workers.messages()) == [(id, BEGIN)]
    return id


def _check(http: httpx.Client, id: str) -> None:
    document = http.get(f"/jobs/{id}").json()
    assert document["status"] == "successful", document
    assert document["points"] == {"done": ROWS, "total": ROWS}
    for kind in KINDS:
        at_once = http.post("/predict", content=BODY, headers=CSV | {"Accept": kind})
        assert http.get(f"/jobs/{id}/results", headers={"Accept": kind}).content == at_once.content


@pytest.mark.parametrize("silent_after", [messages.Measured, messages.Planned])
@pytest.mark.parametrize(("old_seconds", "new_seconds"), [(TILES, WHOLE), (WHOLE, TILES)])
@pytest.mark.parametrize("parts_before", [0, 3])
def test_two_workers_plan_the_same_job_in_the_same_way(
    workers: Workers,
    http: httpx.Client,
    silent_after: type[messages.Message],
    old_seconds: float,
    new_seconds: float,
    parts_before: int,
) -> None:
    """One is silent while it plans; another gets its message, and computes some parts."""
    (old, silent), (new, _) = workers.add(old_seconds), workers.add(new_seconds)
    id = _submit(http, workers)

    def meanwhile(task: messages.Task, outcome: messages.Message) -> None:
        if isinstance(outcome, silent_after):
            silent.then = lambda task, outcome: None
            new.do(id, BEGIN)
            for _, message in zip(range(parts_before), workers.messages(), strict=False):
                new.do(*message)

    silent.then = meanwhile
    old.do(id, BEGIN)
    _drain(workers, old, new)
    _check(http, id)


def _drain(workers: Workers, *works: Work) -> None:
    """Have the workers take turns until no message is left; they never forget what was sent."""
    sent: dict[str, int] = {}
    for turn, (id, part) in enumerate(workers.messages()):
        works[turn % len(works)].do(id, part)
        now = workers.job(id).parts_sent
        assert now >= sent.get(id, 0)
        sent[id] = now


def test_a_worker_that_comes_back_after_the_job_has_ended_changes_nothing(
    workers: Workers, http: httpx.Client
) -> None:
    (old, silent), (new, _) = workers.add(TILES), workers.add(WHOLE)
    id = _submit(http, workers)
    ended: list[Job] = []

    def meanwhile(task: messages.Task, outcome: messages.Message) -> None:
        if not ended:
            new.do(id, BEGIN)
            _drain(workers, new)
            ended.append(workers.job(id))

    silent.then = meanwhile
    old.do(id, BEGIN)
    assert ended == [workers.job(id)]
    _drain(workers, old)
    _check(http, id)


def test_a_part_that_two_workers_compute_counts_once(workers: Workers, http: httpx.Client) -> None:
    (old, silent), (new, _) = workers.add(TILES), workers.add(WHOLE)
    id = _submit(http, workers)
    old.do(id, BEGIN)

    def meanwhile(task: messages.Task, outcome: messages.Message) -> None:
        silent.then = lambda task, outcome: None
        new.do(id, task.part)  # the message that the old one has lost
        for message in workers.messages():
            new.do(*message)

    silent.then = meanwhile
    for message in workers.messages():
        old.do(*message)
    _check(http, id)


def test_a_part_that_is_taken_at_once_sends_the_next_one(
    workers: Workers, http: httpx.Client
) -> None:
    """Another worker takes each message before its sender has noted that it was sent."""
    (sender, _), (taker, _) = workers.add(TILES), workers.add(TILES)
    put = sender.queue.put

    def put_and_take(job: Job, part: int) -> None:
        put(job, part)
        taker.do(*next(workers.messages()))

    sender.queue.put = put_and_take  # type: ignore[method-assign]
    id = _submit(http, workers)
    sender.do(id, BEGIN)
    _drain(workers, sender, taker)
    _check(http, id)


@pytest.mark.parametrize("killed_at", [{0}, {1, 4}, {0, 1, 2}])
def test_all_that_was_lost_is_sent_again(
    workers: Workers, http: httpx.Client, killed_at: set[int]
) -> None:
    """Workers are killed at some parts, and Redis loses all messages."""
    work, here = workers.add(TILES)
    id = _submit(http, workers)
    work.do(id, BEGIN)
    last = max(killed_at)

    def die(task: messages.Task, outcome: messages.Message) -> None:
        if task.part in killed_at:
            raise Killed

    here.then = die
    for message in workers.messages():
        try:
            work.do(*message)
        except Killed:
            if message[1] == last:
                break
    workers.redis.delete(f"{NAMESPACE}:{PARTS}", f"{NAMESPACE}:{PARTS}.msgs")
    here.then = lambda task, outcome: None
    job = workers.job(id)
    assert job.status == "running"
    work.send_missing(job)
    sent = [part for _, part in workers.messages()]
    assert sent == [*sorted(killed_at), last + 1, last + 2]  # the part after it was waiting
    work.send_missing(workers.job(id))
    _drain(workers, work)
    _check(http, id)


def test_a_job_whose_last_worker_died_before_it_said_so_is_ended(
    workers: Workers, http: httpx.Client
) -> None:
    work, _ = workers.add(WHOLE)
    id = _submit(http, workers)
    succeed = work._succeed

    def die(job: Job) -> None:
        raise Killed

    work._succeed = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        work.do(id, BEGIN)
    work._succeed = succeed  # type: ignore[method-assign]
    work.send_missing(workers.job(id))
    _drain(workers, work)
    _check(http, id)


class Trained(ComputingProcess):
    """Has trained a version that is stored already."""

    def __init__(self, version: str) -> None:
        self._version = version

    def run(self, *_: object) -> messages.Message:
        return messages.Trained(self._version, f"this is {self._version}", activate=True)


def test_a_training_that_two_workers_finish_has_the_version_that_is_served(
    workers: Workers, http: httpx.Client, gpr: GPR, tmp_path: Path
) -> None:
    """One is silent when it is too late to cancel the job, before it activates its version."""
    (old, _), (new, _) = workers.add(WHOLE), workers.add(WHOLE)
    paths = [another(gpr, tmp_path, shift) for shift in (1.0, 2.0)]
    first, second = (old.versions.add(GPR.load(path), path) for path in paths)
    old.process, new.process = Trained(first), Trained(second)
    table = "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(30))
    answer = http.post("/train", content=table, headers=CSV | TOKEN)
    id = answer.json()["jobID"]
    assert list(workers.messages()) == [(id, BEGIN)]
    activate = old.versions.activate

    def meanwhile(version: str) -> None:
        new.do(id, BEGIN)
        workers.ledger.report(id, "restart 1 of 3", 25)  # of yet another one
        activate(version)

    old.versions.activate = meanwhile  # type: ignore[method-assign]
    old.do(id, BEGIN)
    job = workers.job(id)
    assert (job.status, job.version, job.message) == ("successful", first, f"this is {first}")
    assert old.versions.current() == first
    result = http.get(f"/jobs/{id}/results", headers=TOKEN).json()
    assert result == old.versions.described(first)
