"""How a worker handles a message: it computes a part of a job and updates the job's state."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from service.jobs.ledger import Ledger
from service.jobs.queue import Queue
from service.jobs.records import FAILED, OPEN, SUCCESSFUL, Job, Status
from service.jobs.specs import BEGIN
from service.storage.versions import Versions
from service.worker import messages
from service.worker.childprocess import ComputingProcess
from service.worker.health import WorkerMetrics

ATTEMPTS = 5
"""How many attempts at a part may fail, or kill a worker, before the job fails."""

_LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The job ended while its part was being computed."""


class HandedBack(Exception):
    """The worker must stop before the part is computed."""


@dataclass
class Work:
    """Handles one message at a time.

    Another worker may handle the same message: one that was silent for a while is thought to be
    dead, and goes on when it is back. So whatever is done twice has the same outcome: the plan of a
    job, the numbers of a part, and what the ledger counts.

    Attributes
    ----------
    stop_at : the monotonic time at which a part that is being computed is handed back
    """

    ledger: Ledger
    queue: Queue
    versions: Versions
    process: ComputingProcess
    metrics: WorkerMetrics
    stop_at: float = float("inf")

    def do(self, id: str, part: int) -> None:
        """Compute a part, unless it is done or its job has ended."""
        job = self.ledger.get(id)
        if job is None or job.final:
            return
        if job.parts:
            self._send_next(job, part)
            done = self.ledger.parts_done(id)
            if len(done) == job.parts:  # a worker died before it could say so
                self._succeed(job)
            if part == BEGIN or part in done:
                return
        attempts = self.ledger.begin(id, part)
        if attempts == 0:
            return
        if attempts > ATTEMPTS:
            self._end(job, FAILED, f"{ATTEMPTS} workers died or failed while computing a part")
            return
        job = self.ledger.get(id) or job
        with self.metrics.busy.track_inprogress():
            try:
                self._compute(job, part)
            except Exception as error:  # dramatiq would drop the message
                log.exception("job %s, part %d", id, part)
                self._retry(job, part, f"{type(error).__name__}: {error}")

    def send_missing(self, job: Job) -> None:
        """Send what an open job lacks, when all of its messages are lost."""
        if not job.parts:
            self.queue.put(job, BEGIN)
            return
        done = self.ledger.parts_done(job.id)
        known = range(min(job.parts_sent + 1, job.parts))  # the last of them sends the next one
        for part in [part for part in known if part not in done] or [job.parts - 1]:
            self._send(job, part)

    def _send_next(self, job: Job, part: int) -> None:
        """Send the part after this one, unless that was done before.

        So a large job has one waiting message at a time: jobs take turns, and any number of
        workers can still compute parts of the same one.
        """
        following = part + 1
        if job.parts_sent <= following < job.parts:
            self._send(job, following)

    def _send(self, job: Job, part: int) -> None:
        """Send a part to the queue.

        The message goes first: a worker that is killed in between has it sent twice, which costs
        time, but no part is left out.
        """
        self.queue.put(job, part)
        self.ledger.mark_parts_sent(job.id, part + 1)

    def _compute(self, job: Job, part: int) -> None:
        task = messages.Task(job.id, part, job.spec, job.rows_per_part)
        looked = time.monotonic()

        def watch() -> None:
            nonlocal looked
            if time.monotonic() >= self.stop_at:
                raise HandedBack
            if time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                if self.ledger.status(job.id) not in OPEN:
                    raise Cancelled

        def on_progress(progress: messages.Progress) -> None:
            self.ledger.report(job.id, progress.message, progress.percent)

        try:
            outcome = self.process.run(task, watch, on_progress)
            if isinstance(outcome, messages.Measured):
                task.rows_per_part = self.ledger.agree_on_rows(job.id, outcome.rows_per_part)
                if not task.rows_per_part:
                    raise Cancelled
                outcome = self.process.run(task, watch, on_progress)
            self._settle(job, part, outcome)
        except HandedBack:
            self.ledger.attempts(job.id, part, by=-1)
            self.queue.put(job, part)
            self.metrics.handed_back.inc()
        except Cancelled:
            log.info("job %s ended while a part of it was being computed", job.id)

    def _settle(self, job: Job, part: int, message: messages.Message) -> None:
        match message:
            case messages.Planned(points, parts, done):
                job.parts, job.points = parts, points
                job.parts_sent = self.ledger.mark_planned(job.id, points, parts)
                if done:
                    self._part_done(job, 0, points)
                else:
                    self._send_next(job, BEGIN)
            case messages.Computed(points):
                self._part_done(job, part, points)
            case messages.Trained(version, summary, activate):
                if first := self.ledger.commit(job.id, version, summary):
                    version, summary = first
                    if activate:
                        self.versions.activate(version)
                    self._end(job, SUCCESSFUL, summary, version=version)
            case messages.Rejected(detail, document):
                self._end(job, FAILED, detail, problem=document)
            case messages.Crashed(error, trace):
                log.error("job %s, part %d: %s\n%s", job.id, part, error, trace)
                self._retry(job, part, error)

    def _part_done(self, job: Job, part: int, points: int) -> None:
        self.metrics.parts.inc()
        if self.ledger.mark_part_done(job.id, part, points) == job.parts:
            self._succeed(job)

    def _succeed(self, job: Job) -> None:
        self._end(job, SUCCESSFUL, f"{job.points} points predicted")

    def _retry(self, job: Job, part: int, error: str) -> None:
        if self.ledger.attempts(job.id, part) >= ATTEMPTS:
            self._end(job, FAILED, f"failed {ATTEMPTS} times; the last error: {error}")
        else:
            self.queue.put(job, part)

    def _end(self, job: Job, status: Status, message: str, **fields: str | bytes) -> None:
        if self.ledger.finish(job.id, status, message, **fields):
            self.metrics.ended(job, status)
            log.info("job %s (%s) is %s: %s", job.id, job.process, status, message)
