"""The jobs as a serving process handles them: accept, look up, list, dismiss."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import RedisError
from redis.exceptions import OutOfMemoryError

from service.jobs.blobs import JobBlobs
from service.jobs.idempotency import Key, Reservation
from service.jobs.ledger import Ledger
from service.jobs.queue import Queue
from service.jobs.quotas import Quotas
from service.jobs.records import DISMISSED, MOST_LISTED, Job, Listing
from service.jobs.specs import BEGIN, INPUT, Spec
from service.runtime.callers import Caller
from service.runtime.live import open_store
from service.services.errors import Problem, busy, full, ogc_problem
from service.settings import Settings
from service.storage.blobs import Blobs, StorageError, StorageFull
from service.storage.redis import SHORT_ANSWER_SECONDS, connect

_RETRY_SECONDS = 2.0
_QUOTA_RETRY_SECONDS = "60"

_UNCOUNTED_BYTES = 8 << 20
"""How much of an input may be stored before it counts: Redis may write each count to a disk."""

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
        self.blobs: Blobs = open_store(settings)
        self.ledger = Ledger(redis, settings.job_ttl_seconds)
        self._quotas = Quotas(redis, settings.job_ttl_seconds)
        self.queue = Queue(redis)

    def find(self, id: str, caller: Caller) -> Job:
        """Look up a job for its owner, or one that has none for anyone who knows its id.

        Raises `Problem`: 404 for a job that never existed, has expired or belongs to another.
        """
        job = self.ledger.get(id)
        if job is None or not caller.may_see(job.owner):
            only = "" if caller.known else "; a job sent with a key is found with that key only"
            detail = f"no such job, or it has expired: {id[:40]!r}{only}"
            raise ogc_problem(404, "no-such-job", detail)
        return job

    def dismiss(self, id: str, caller: Caller) -> Job:
        """Cancel a job; one that has ended stays as it is.

        Raises `Problem`: 404 as in `find`, 409 when it is too late to cancel.
        """
        job = self.find(id, caller)
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

    def accept(self, caller: Caller, key: Key | None, store: Store) -> Job:
        """Accept a job, or find the one that a repeated request with the same `key` has made.

        Raises `Problem`: what `store` raises; 409 and 422 for a key that is in use, 429 beyond the
        quota.
        """
        id = secrets.token_hex(16)  # it cannot be guessed
        if key is None:
            return self._accept_new(id, caller, store)
        ttl = self._settings.job_ttl_seconds
        reservation = Reservation(self.ledger.redis, caller.owner, key, ttl)
        known = reservation.reserve(id)
        if known != id:
            job = self.ledger.get(known)
            if job is None:
                reservation.forget(known)
            return job
        try:
            return self._accept_new(id, caller, store, reservation)
        except BaseException:
            reservation.release(id)
            raise

    def _accept_new(
        self, id: str, caller: Caller, store: Store, reservation: Reservation | None = None
    ) -> Job:
        ledger, owner = self.ledger, caller.owner
        try:
            blobs = JobBlobs(self.blobs, id, self._counting(id, caller))
            ledger.begin_upload(id)
            spec = store(blobs)
            size = blobs.size(INPUT)
            self._hold(id, caller, size)
            binding = reservation.binding(id) if reservation else None
            job = ledger.create(id, owner, spec, size, binding)
        except BaseException as error:
            created = self._created_after_all(id, owner)
            if created is None or not isinstance(error, RedisError):
                raise
            job = created
        self.queue.put(job, BEGIN)
        ledger.mark_sent(id)
        ledger.end_upload(id)
        return job

    def _created_after_all(self, id: str, owner: str) -> Job | None:
        """The job of a request that failed, if only Redis's answer was lost.

        Else the input is deleted: once the upload has ended, Redis refuses to create the job, also
        when that command is still on its way. While Redis does not answer, the sweeper is left to
        delete what it must.
        """
        self.ledger.end_upload(id)
        job = self.ledger.get(id)
        if job is None:
            JobBlobs(self.blobs, id).delete(INPUT)
            self._quotas.release(id, owner)
        return job

    def _counting(self, id: str, caller: Caller) -> Callable[[int], None]:
        """Count a job as open; return a function that counts more bytes of its input.

        Both raise a `Problem` 429 beyond the caller's limits.
        """
        size, allowed = 0, self._hold(id, caller, 1)  # no input is empty

        def count(more: int) -> None:
            nonlocal size, allowed
            size += more
            if size > allowed:
                allowed = self._hold(id, caller, size)

        return count

    def _hold(self, id: str, caller: Caller, size: int) -> int:
        """Count so many bytes of a job's input; return up to how many need no other count."""
        limits, settings = caller.limits, self._settings
        most_open = settings.max_open_jobs if limits.open_jobs is None else limits.open_jobs
        most = settings.max_job_bytes if limits.job_bytes is None else limits.job_bytes
        if size > most:
            detail = f"this input alone takes up more than the {most} bytes that all of a caller's"
            raise Problem(429, f"{detail} jobs may: send fewer rows")
        said = self._quotas.hold(id, caller.owner, size, most_open, most)
        if said.refused == "open":
            do = "wait for some to finish or cancel them"
            raise _too_many(caller, f"{most_open} open jobs", do)
        if said.refused == "bytes":
            have = f"inputs of jobs that take up {said.others} of {most} bytes"
            raise _too_many(caller, have, "wait for some jobs to expire, or send fewer rows")
        return min(size + _UNCOUNTED_BYTES, most - said.others)


def _too_many(caller: Caller, have: str, do: str) -> Problem:
    whose = "you already have" if caller.known else "callers without a key already have"
    detail = f"{whose} {have}; {do}"
    return Problem(429, detail, headers={"Retry-After": _QUOTA_RETRY_SECONDS})
