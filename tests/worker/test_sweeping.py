"""What a worker deletes from time to time: nothing that a job needs that is being accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from service.jobs.blobs import JobBlobs
from service.jobs.ledger import Ledger
from service.jobs.queue import Queue
from service.jobs.quotas import Quotas
from service.jobs.specs import INPUT, Prediction
from service.services.options import PLAIN
from service.storage import open_blobs
from service.storage.blobs import Blobs
from service.storage.redis import connect
from service.storage.versions import Versions
from service.worker.childprocess import ComputingProcess
from service.worker.health import WorkerMetrics
from service.worker.sweeping import Sweeper
from service.worker.work import Work
from tests.helpers.stack import Stack, stack

SPEC = Prediction(version="0" * 12, form="table", options=PLAIN, media_type="text/csv")
OWNER = "anonymous"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("sweeping"), workers=0) as running:
        yield running


@pytest.fixture
def blobs(system: Stack) -> Blobs:
    return open_blobs(f"file://{system.folder / 'store'}")


@pytest.fixture
def ledger(system: Stack) -> Iterator[Ledger]:
    redis = connect(system.url)
    redis.flushdb()
    yield Ledger(redis, 3600)
    redis.flushdb()


def _sweeper(ledger: Ledger, blobs: Blobs) -> Sweeper:
    queue = Queue(ledger.redis)
    work = Work(ledger, queue, Versions(blobs), ComputingProcess(), WorkerMetrics())
    return Sweeper(work, blobs)


Ask = Callable[[str], object]


def _accept_between(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the job between the first question about it and the second."""

    def answered(ask: Ask) -> Ask:
        def then(id: str) -> object:
            answer = ask(id)
            monkeypatch.undo()
            ledger.create(id, OWNER, SPEC, 9)
            ledger.end_upload(id)
            return answer

        return then

    monkeypatch.setattr(ledger, "status", answered(ledger.status))
    monkeypatch.setattr(ledger, "is_uploading", answered(ledger.is_uploading))


def test_the_input_of_a_job_that_is_accepted_meanwhile_is_kept(
    ledger: Ledger, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = JobBlobs(blobs, "kept"), JobBlobs(blobs, "orphan")
    ledger.begin_upload("kept")
    for job in inputs:
        job.write(INPUT, b"1,2,3,4")
    sweeper = _sweeper(ledger, blobs)
    _accept_between(ledger, monkeypatch)
    sweeper.delete_orphans()
    assert blobs.names("jobs/") == ["jobs/kept/input"]


def test_a_job_whose_record_expires_at_once_is_closed(ledger: Ledger) -> None:
    brief = Ledger(ledger.redis, 0)
    ledger.begin_upload("brief")
    assert Quotas(ledger.redis, 3600).hold("brief", OWNER, 9, 1, 9).refused == ""
    ledger.create("brief", OWNER, SPEC, 9)
    assert brief.finish("brief", "failed", "for a test")
    assert ledger.redis.zcard(f"gpserve:open:{OWNER}") == 0
