"""What a worker repairs from time to time: lost messages, blobs that nobody needs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from service.jobs.queue import messages
from service.storage.blobs import ABANDONED_SECONDS, Blobs
from service.worker.work import Work

_SWEEPER = "gpserve:sweeper"
_OVERDUE = timedelta(seconds=10)

log = logging.getLogger(__name__)


class Sweeper:
    """Repairs what a process left behind when it was killed."""

    def __init__(self, work: Work, blobs: Blobs) -> None:
        self._work = work
        self._ledger = work.ledger
        self._blobs = blobs
        self._empty_before = False

    def requeue_forgotten(self) -> None:
        """Queue open jobs for which no message exists.

        Either a server was killed between the record and the message, or Redis has lost
        messages: then the queue is empty although jobs are open.
        """
        empty = messages(self._ledger.redis) == (0, 0)
        lost, self._empty_before = empty and self._empty_before, empty
        overdue = datetime.now(UTC) - _OVERDUE
        for id in self._ledger.open_ids():
            job = self._ledger.get(id)
            if job is None:
                self._ledger.forget_open(id)
            elif (lost or not job.sent) and datetime.fromisoformat(job.updated) < overdue:
                log.warning("job %s was open but not in the queue: it is queued again", id)
                self._work.send_missing(job)
                self._ledger.mark_sent(id)

    def delete_orphans(self) -> None:
        """Delete blobs of expired jobs and unfinished ones; one worker does it, each minute."""
        if not self._ledger.redis.set(_SWEEPER, 1, nx=True, ex=60):
            return
        needed: dict[str, bool] = {}
        for name in self._blobs.names("jobs/"):
            id = name.split("/")[1]
            if id not in needed:
                needed[id] = self._ledger.is_uploading(id) or bool(self._ledger.status(id))
            if not needed[id]:
                self._blobs.delete(name)
        self._blobs.delete_abandoned(ABANDONED_SECONDS)
