"""What a worker does with a message: one chunk of a job, and the job's next state."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from service.jobs.ledger import Documents
from service.jobs.queue import Queue
from service.jobs.records import FAILED, OPEN, SUCCESSFUL, Record
from service.jobs.specs import BEGIN
from service.storage.versions import Versions
from service.worker.health import WorkerMetrics
from service.worker.messages import Broken, Computed, Message, Planned, Refused, Task, Told, Trained
from service.worker.process import ComputingProcess

ATTEMPTS = 5
"""Workers that may die over one chunk before the chunk is blamed."""

_LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The job ended while its chunk was computed."""


class HandedBack(Exception):
    """The worker must stop before the chunk is done."""


@dataclass
class Work:
    """Does one message at a time.

    Attributes
    ----------
    stop_at : the monotonic time at which a running chunk is handed back
    """

    documents: Documents
    queue: Queue
    versions: Versions
    process: ComputingProcess
    metrics: WorkerMetrics
    stop_at: float = float("inf")

    def do(self, id: str, chunk: int) -> None:
        """Work on a chunk, unless that is done or its job has ended."""
        record = self.documents.get(id)
        if record is None or record.final or self._done_before(record, chunk):
            return
        if self.documents.attempt(id, chunk) > ATTEMPTS:
            self._end(record, FAILED, f"{ATTEMPTS} workers died or failed over it")
            return
        if self.documents.begin(id, "running") not in OPEN:
            return
        record = self.documents.get(id) or record
        with self.metrics.busy.track_inprogress():
            try:
                self._compute(record, chunk)
            except Exception as error:  # a message that raises would be gone
                log.exception("job %s, chunk %d", id, chunk)
                self._try_again(record, chunk, f"{type(error).__name__}: {error}")

    def _done_before(self, record: Record, chunk: int) -> bool:
        """Whether a worker that died had done this; what it did not do after that is done now."""
        if not record.chunks:
            return False
        done = self.documents.chunks_done(record.id)
        if len(done) == record.chunks:
            self._succeed(record)
        elif chunk == BEGIN:
            self._put_missing(record, done)
        return chunk == BEGIN or chunk in done

    def put_missing(self, record: Record) -> None:
        """Queue what is missing of an open job again."""
        if record.chunks:
            self._put_missing(record, self.documents.chunks_done(record.id))
        else:
            self.queue.put(record.id, BEGIN)

    def _put_missing(self, record: Record, done: set[int]) -> None:
        for chunk in range(record.chunks):
            if chunk not in done:
                self.queue.put(record.id, chunk)

    def _compute(self, record: Record, chunk: int) -> None:
        task = Task(record.id, chunk, record.spec)
        looked = time.monotonic()

        def watch() -> None:
            nonlocal looked
            if time.monotonic() >= self.stop_at:
                raise HandedBack
            if time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                if self.documents.status(record.id) not in OPEN:
                    raise Cancelled

        def told(message: Told) -> None:
            self.documents.tell(record.id, message.message, message.percent)

        try:
            self._settle(record, chunk, self.process.run(task, watch, told))
        except HandedBack:
            self.documents.attempt(record.id, chunk, by=-1)
            self.queue.put(record.id, chunk)
            self.metrics.handed_back.inc()
        except Cancelled:
            log.info("job %s ended while it was computed", record.id)

    def _settle(self, record: Record, chunk: int, message: Message) -> None:
        match message:
            case Planned(points, chunks, done):
                self.documents.planned(record.id, points, chunks)
                record.chunks, record.points = chunks, points
                if done:
                    self._chunk_done(record, 0, points)
                else:
                    self._put_missing(record, set())
            case Computed(points):
                self._chunk_done(record, chunk, points)
            case Trained(version, said, activate):
                self._trained(record, version, said, activate)
            case Refused(_, detail, document):
                self._end(record, FAILED, detail, problem=document)
            case Broken(error, trace):
                log.error("job %s, chunk %d: %s\n%s", record.id, chunk, error, trace)
                self._try_again(record, chunk, error)

    def _chunk_done(self, record: Record, chunk: int, points: int) -> None:
        self.metrics.chunks.inc()
        if self.documents.chunk_done(record.id, chunk, points) == record.chunks:
            self._succeed(record)

    def _succeed(self, record: Record) -> None:
        self._end(record, SUCCESSFUL, f"{record.points} points are predicted")

    def _trained(self, record: Record, version: str, said: str, activate: bool) -> None:
        if not self.documents.commit(record.id):
            return
        if activate:
            self.versions.activate(version)
        self._end(record, SUCCESSFUL, said, version=version)

    def _try_again(self, record: Record, chunk: int, error: str) -> None:
        if self.documents.attempt(record.id, chunk, by=0) >= ATTEMPTS:
            self._end(record, FAILED, f"it failed {ATTEMPTS} times, at last with {error}")
        else:
            self.queue.put(record.id, chunk)

    def _end(self, record: Record, status: str, said: str, **fields: str | bytes) -> None:
        if self.documents.finish(record.id, status, said, **fields):
            self.metrics.ended(record, status)
            log.info("job %s (%s) is %s: %s", record.id, record.process, status, said)
