"""The jobs as a serving process sees them: accept, look at, dismiss."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from redis import RedisError

from service.jobs.blobs import Job
from service.jobs.idempotency import Key, Keys
from service.jobs.ledger import Also, Documents, nothing
from service.jobs.queue import Queue, make_broker
from service.jobs.records import DISMISSED, MOST_LISTED, Listing, Record
from service.jobs.specs import BEGIN, INPUT, Spec
from service.services.problems import Problem, busy, ogc_problem
from service.settings import Settings
from service.storage import open_blobs
from service.storage.blobs import Blobs, StorageError
from service.storage.redis import connect

_RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


@contextmanager
def reachable() -> Iterator[None]:
    """A `Problem` 503 for a Redis or a storage that does not answer."""
    try:
        yield
    except (RedisError, StorageError) as error:
        log.warning("the job queue does not answer: %s", error)
        said = "the job queue does not answer: try again soon. Predictions go on"
        raise busy(said, _RETRY_SECONDS) from error


class Jobs:
    """Accepts jobs and answers for them, whichever replica accepted them."""

    def __init__(self, settings: Settings) -> None:
        redis = connect(settings.redis_url)
        self._settings = settings
        self.blobs: Blobs = open_blobs(settings.store_url)
        self.documents = Documents(redis, settings.job_ttl_seconds)
        self.queue = Queue(make_broker(redis))

    def find(self, id: str) -> Record:
        """A job; who knows its id, which nobody guesses, may see and dismiss it.

        Raises
        ------
        Problem
            404, whether it never was or has expired.
        """
        record = self.documents.get(id)
        if record is None:
            raise ogc_problem(404, "no-such-job", f"there is no job {id[:40]!r}, or no longer")
        return record

    def dismiss(self, record: Record) -> Record:
        """Cancel a job that has not ended; one that has stays what it is."""
        ended = self.documents.finish(record.id, DISMISSED, "dismissed by its owner")
        record = self.documents.get(record.id) or record
        if not ended and not record.final:
            raise Problem(409, "its new version is being stored at this moment: look again")
        return record

    def accept(self, spec: Callable[[str], Spec], owner: str, key: Key | None) -> Record:
        """Take a job on.

        Parameters
        ----------
        spec : writes the input's blob for a job's id and says what is to be done
        key : makes a repeated request the same job
        """
        id = self.documents.new_id()
        if key is None:
            return self._take(id, spec, owner)
        keys = Keys(self.documents.redis, owner, self._settings.job_ttl_seconds)
        known = keys.reserve(key, id)
        if known != id:
            record = self.documents.get(known)
            if record is None:
                keys.forget(key, known)
            return record
        try:
            return self._take(id, spec, owner, lambda pipeline: keys.settle(pipeline, key, id))
        except BaseException:
            keys.release(key, id)
            raise

    def _take(
        self, id: str, spec: Callable[[str], Spec], owner: str, also: Also = nothing
    ) -> Record:
        self._refuse_over_quota(owner)
        self.documents.uploading(id)
        name = Job(self.blobs, id).name(INPUT)
        try:
            asked = spec(id)
            record = self.documents.create(id, owner, asked, self.blobs.size(name), also)
        except BaseException:
            self.blobs.delete(name)
            raise
        self.queue.put(id, BEGIN)
        self.documents.enqueued(id)
        self.documents.uploaded(id)
        return record

    def _refuse_over_quota(self, owner: str) -> None:
        s = self._settings
        records = self.documents.of(owner, 2 * s.max_open_jobs)
        if sum(not record.final for record in records) >= s.max_open_jobs:
            raise _quota(f"{s.max_open_jobs} jobs of yours are waiting or running")
        if self.room(records) <= 0:
            raise _quota(f"the uploads of your jobs hold {s.max_job_bytes} bytes")

    def room(self, records: Iterable[Record]) -> int:
        """The bytes that further uploads may hold."""
        return self._settings.max_job_bytes - sum(record.size for record in records)


ANONYMOUS = "anonymous"


def owner_of(authorization: str) -> str:
    """Whose jobs: of those who send the same credentials, or of all who send none."""
    if not authorization:
        return ANONYMOUS
    return hashlib.sha256(authorization.encode()).hexdigest()[:24]


def _quota(said: str) -> Problem:
    return Problem(429, f"{said}: wait, or dismiss some", headers={"Retry-After": "60"})


def listed(documents: Documents, owner: str, listing: Listing) -> list[Record]:
    """An owner's jobs that are asked for, the newest first, among the newest thousand."""
    chosen = listing.status is not None or listing.process is not None
    found = documents.of(owner, MOST_LISTED if chosen else listing.limit)
    fitting = (
        record
        for record in found
        if listing.status in (None, record.status) and listing.process in (None, record.process)
    )
    return list(fitting)[: listing.limit]
