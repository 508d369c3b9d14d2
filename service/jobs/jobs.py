"""The jobs as a serving process handles them: accept, look up, list, dismiss."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import RedisError
from redis.exceptions import OutOfMemoryError

from service.jobs.blobs import JobBlobs
from service.jobs.idempotency import Key, Reservation
from service.jobs.ledger import Extra, Ledger
from service.jobs.queue import Queue
from service.jobs.records import DISMISSED, MOST_LISTED, Job, Listing
from service.jobs.specs import BEGIN, INPUT, Spec
from service.services.errors import Problem, busy, full, ogc_problem
from service.settings import Settings
from service.storage import open_blobs
from service.storage.blobs import Blobs, StorageError, StorageFull
from service.storage.redis import SHORT_ANSWER_SECONDS, connect

_RETRY_SECONDS = 2.0
_QUOTA_RETRY_SECONDS = "60"

log = logging.getLogger(__name__)

Store = Callable[[JobBlobs], Spec]
"""Writes the input of a job to its blobs and returns what is to be done with it."""


@contextmanager
def reachable() -> Iterator[None]:
    """Turn an error of Redis or of the storage into a `Problem` 503, or 507 when it is full."""
    try:
        yield
    except (OutOfMemoryError, StorageFull) as error:
        log.warning("the job store is full: %s", error)
        raise full(error) from error
    except (RedisError, StorageError) as error:
        log.warning("the job queue is unavailable: %s", error)
        detail = "the job queue is unavailable, try again shortly; predictions still work"
        raise busy(detail, _RETRY_SECONDS) from error


class Jobs:
    """Accepts jobs and answers for them, whichever replica accepted them."""

    def __init__(self, settings: Settings) -> None:
        redis = connect(settings.redis_url, answer_seconds=SHORT_ANSWER_SECONDS)
        self._settings = settings
        self.blobs: Blobs = open_blobs(settings.store_url)
        self.ledger = Ledger(redis, settings.job_ttl_seconds)
        self.queue = Queue(redis)

    def find(self, id: str) -> Job:
        """Look up a job for anyone who knows its id, which cannot be guessed.

        Raises `Problem`: 404 for a job that never existed or has expired.
        """
        job = self.ledger.get(id)
        if job is None:
            raise ogc_problem(404, "no-such-job", f"no such job, or it has expired: {id[:40]!r}")
        return job

    def dismiss(self, id: str) -> Job:
        """Cancel a job; one that has ended stays as it is.

        Raises `Problem`: 404 as in `find`, 409 when it is too late to cancel.
        """
        job = self.find(id)
        dismissed = self.ledger.finish(id, DISMISSED, "dismissed by its owner")
        job = self.ledger.get(id) or job
        if not dismissed and not job.final:
            raise Problem(409, "too late to cancel: the new version is being saved")
        return job

    def jobs_of(self, owner: str, listing: Listing) -> list[Job]:
        """List an owner's jobs, the newest first, among the newest `MOST_LISTED`."""
        filtered = listing.status is not None or listing.process is not None
        jobs = self.ledger.jobs_of(owner, MOST_LISTED if filtered else listing.limit)
        matching = [
            job
            for job in jobs
            if listing.status in (None, job.status) and listing.process in (None, job.process)
        ]
        return matching[: listing.limit]

    def accept(self, owner: str, key: Key | None, store: Store) -> Job:
        """Accept a job, or find the one that a repeated request with the same `key` has made.

        Raises `Problem`: what `store` raises; 409 and 422 for a key that is in use, 429 beyond the
        quota.
        """
        id = secrets.token_hex(16)  # it cannot be guessed
        if key is None:
            return self._accept_new(id, owner, store)
        ttl = self._settings.job_ttl_seconds
        reservation = Reservation(self.ledger.redis, owner, key, ttl)
        known = reservation.reserve(id)
        if known != id:
            job = self.ledger.get(known)
            if job is None:
                reservation.forget(known)
            return job
        try:
            return self._accept_new(id, owner, store, lambda p: reservation.settle(p, id))
        except BaseException:
            reservation.release(id)
            raise

    def _accept_new(self, id: str, owner: str, store: Store, extra: Extra | None = None) -> Job:
        self._check_quota(owner)
        self.ledger.begin_upload(id)
        blobs = JobBlobs(self.blobs, id)
        try:
            spec = store(blobs)
            job = self.ledger.create(id, owner, spec, blobs.size(INPUT), extra)
        except BaseException:
            blobs.delete(INPUT)
            raise
        self.queue.put(job, BEGIN)
        self.ledger.mark_enqueued(id)
        self.ledger.end_upload(id)
        return job

    def _check_quota(self, owner: str) -> None:
        most_open, most_bytes = self._settings.max_open_jobs, self._settings.max_job_bytes
        jobs = self.ledger.jobs_of(owner, 2 * most_open)
        if sum(not job.final for job in jobs) >= most_open:
            have = f"you already have {most_open} open jobs"
            detail = f"{have}; wait for some to finish or cancel them"
        elif sum(job.size for job in jobs) >= most_bytes:
            have = f"the inputs of your jobs already take up {most_bytes} bytes"
            detail = f"{have}; wait for some jobs to expire"
        else:
            return
        raise Problem(429, detail, headers={"Retry-After": _QUOTA_RETRY_SECONDS})


def owner_of(authorization: str) -> str:
    """Name the owner of a job: whoever sends the same credentials, or everybody without any."""
    if not authorization:
        return "anonymous"
    return hashlib.sha256(authorization.encode()).hexdigest()[:24]
