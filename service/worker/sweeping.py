"""What is put right from time to time: messages that got lost, blobs that nobody needs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, SkipMessage

from service.jobs.depth import NAMESPACE, QUEUE, queue_depth
from service.storage.blobs import Blobs
from service.worker.work import Work

_SWEEPER = "gpserve:sweeper"
_OVERDUE = timedelta(seconds=10)

log = logging.getLogger(__name__)


class Owned(Middleware):
    """Knows which message is worked on; skips one that was given to another worker meanwhile."""

    def __init__(self) -> None:
        self.working: str | None = None

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Skip a message that is no longer ours."""
        id = message.options["redis_message_id"]
        if not broker.client.sismember(_acks(broker), id):
            raise SkipMessage
        self.working = id

    def after_process_message(self, *_: Any, **__: Any) -> None:
        """Forget the message."""
        self.working = None


def _acks(broker: RedisBroker) -> str:
    """The set of messages that this process has fetched and not yet acknowledged."""
    return f"{NAMESPACE}:__acks__.{broker.broker_id}.{QUEUE}"


class LostMessages:
    """Messages that Redis gave to this process, but whose delivery a broken connection lost.

    dramatiq counts them as being worked on, as long as this process lives.
    """

    def __init__(self, broker: RedisBroker, owned: Owned) -> None:
        self._broker = broker
        self._owned = owned
        self._seen: set[bytes] = set()

    def give_back(self) -> None:
        """Requeue messages that were ours at the last look too and are not worked on."""
        ours = cast(set[bytes], self._broker.client.smembers(_acks(self._broker)))
        idle = {id for id in ours if id.decode() != self._owned.working}
        lost, self._seen = idle & self._seen, idle
        if lost:
            log.warning("%d messages were lost on the way here and are queued again", len(lost))
            self._broker.do_requeue(QUEUE, *lost)


class Sweeper:
    """Puts right what a process that was killed has left behind."""

    def __init__(self, work: Work, blobs: Blobs) -> None:
        self._work = work
        self._blobs = blobs
        self._empty_before = False

    def requeue_forgotten(self) -> None:
        """Queue open jobs that no message speaks of.

        Either the server was killed between the record and the message, or Redis has lost
        messages: then the queue is empty, and jobs are open.
        """
        empty = queue_depth(self._work.documents.redis) == (0, 0)
        lost, self._empty_before = empty and self._empty_before, empty
        for id in list(self._work.documents.open()):
            record = self._work.documents.get(id)
            if record is None:
                self._work.documents.forget_open(id)
            elif (lost or not record.enqueued) and _is_overdue(record.updated):
                log.warning("job %s was open and not in the queue: it is queued again", id)
                self._work.put_missing(record)
                self._work.documents.enqueued(id)

    def delete_orphans(self) -> None:
        """Delete the blobs of jobs whose records have expired; one worker a minute does it."""
        documents = self._work.documents
        if not documents.redis.set(_SWEEPER, 1, nx=True, ex=60):
            return
        known: dict[str, bool] = {}
        for name in self._blobs.names("jobs/"):
            id = name.split("/")[1]
            if id not in known:
                known[id] = bool(
                    self._work.documents.status(id) or self._work.documents.is_uploading(id)
                )
            if not known[id]:
                self._blobs.delete(name)


def _is_overdue(updated: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(updated) > _OVERDUE
