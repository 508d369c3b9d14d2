"""The ledger of all jobs in Redis: what each is to do, how far it is, how it ended.

Every change of state is a script, so that a final state never changes and no two processes
disagree. A record expires a set time after its job has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from redis import Redis

from service.jobs import specs
from service.jobs.idempotency import IN_USE, Binding, again
from service.jobs.records import ACCEPTED, Job, Status, fields_of, now, read_job
from service.jobs.specs import Spec
from service.services.errors import busy

_JOB, _DONE, _OWNER = "gpserve:job:", "gpserve:done:", "gpserve:owner:"
_OPEN = "gpserve:open"
_UPLOAD = "gpserve:upload:"
_UPLOAD_SECONDS = 86_400

LATER = "gpserve:later"
"""How many parts of each job are not sent yet: a part sends the next one when it begins."""

# In the scripts, the names of the fields are those in Redis (see `Job`): `chunks` is the number of
# parts, `queued` how many of them have been sent, and `enqueued` whether the first message has.

_CREATE = """
if redis.call('exists', KEYS[1]) == 0 then return 'upload' end
if redis.call('exists', KEYS[2]) == 1 then return '' end
if KEYS[5] then
  local value = redis.call('get', KEYS[5])
  if value and value ~= ARGV[3] then return 'key' end
  redis.call('set', KEYS[5], ARGV[4], 'EX', ARGV[5])
end
redis.call('hset', KEYS[2], unpack(ARGV, 6))
redis.call('zadd', KEYS[3], ARGV[2], ARGV[1])
redis.call('zadd', KEYS[4], ARGV[2], ARGV[1])
return ''
"""
_MARK_SENT = """
if redis.call('exists', KEYS[1]) == 0 then return 0 end
redis.call('hset', KEYS[1], 'enqueued', 1)
return 1
"""
_BEGIN = """
local status = redis.call('hget', KEYS[1], 'status')
if status ~= 'accepted' and status ~= 'running' then return 0 end
if status == 'accepted' then
  redis.call('hset', KEYS[1], 'status', 'running', 'started', ARGV[1], 'updated', ARGV[1],
             'message', 'running')
end
return redis.call('hincrby', KEYS[1], ARGV[2], 1)
"""
_ATTEMPTS = """
if redis.call('exists', KEYS[1]) == 0 then return 0 end
return redis.call('hincrby', KEYS[1], ARGV[1], ARGV[2])
"""
_AGREE = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return 0 end
local rows = tonumber(redis.call('hget', KEYS[1], 'rows_per_part') or 0)
if rows == 0 then
  rows = tonumber(ARGV[1])
  redis.call('hset', KEYS[1], 'rows_per_part', rows)
end
return rows
"""
_PLANNED = """
if redis.call('hget', KEYS[1], 'status') == 'running' then
  redis.call('hset', KEYS[1], 'points', ARGV[1], 'chunks', ARGV[2])
end
return tonumber(redis.call('hget', KEYS[1], 'queued') or 0)
"""
_REPORT = """
local status, committing = unpack(redis.call('hmget', KEYS[1], 'status', 'committing'))
if status ~= 'running' or committing == '1' then return 0 end
redis.call('hset', KEYS[1], 'updated', ARGV[1], 'message', ARGV[2], 'percent', ARGV[3])
return 1
"""
_COMMIT = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return {} end
if redis.call('hsetnx', KEYS[1], 'version', ARGV[2]) == 1 then
  redis.call('hset', KEYS[1], 'committing', 1, 'updated', ARGV[1], 'message', ARGV[3])
end
return redis.call('hmget', KEYS[1], 'version', 'message')
"""
_PART = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return 0 end
if redis.call('sadd', KEYS[2], ARGV[2]) == 1 then
  redis.call('hincrby', KEYS[1], 'points_done', ARGV[3])
end
redis.call('hset', KEYS[1], 'updated', ARGV[1])
return redis.call('scard', KEYS[2])
"""
_PARTS_SENT = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return 0 end
local sent = tonumber(redis.call('hget', KEYS[1], 'queued') or 0)
if tonumber(ARGV[2]) <= sent then return 0 end
redis.call('hset', KEYS[1], 'queued', ARGV[2])
local parts = tonumber(redis.call('hget', KEYS[1], 'chunks'))
if parts > tonumber(ARGV[2]) then
  redis.call('hset', KEYS[2], ARGV[1], parts - ARGV[2])
else
  redis.call('hdel', KEYS[2], ARGV[1])
end
return 1
"""
_FINISH = """
local status = redis.call('hget', KEYS[1], 'status')
if status ~= 'accepted' and status ~= 'running' then return 0 end
if ARGV[2] == 'dismissed' and redis.call('hget', KEYS[1], 'committing') == '1' then return 0 end
redis.call('hset', KEYS[1], 'status', ARGV[2], 'finished', ARGV[1], 'updated', ARGV[1],
           unpack(ARGV, 5))
redis.call('zrem', KEYS[3], ARGV[4])
redis.call('hdel', KEYS[4], ARGV[4])
redis.call('zrem', 'gpserve:open:' .. redis.call('hget', KEYS[1], 'owner'), ARGV[4])
redis.call('expire', KEYS[1], ARGV[3])
redis.call('expire', KEYS[2], ARGV[3])
return 1
"""


class Ledger:
    """The records of all jobs."""

    def __init__(self, redis: Redis, ttl_seconds: float) -> None:
        self.redis = redis
        self._ttl = int(ttl_seconds)
        self._create = redis.register_script(_CREATE)
        self._mark_sent = redis.register_script(_MARK_SENT)
        self._begin = redis.register_script(_BEGIN)
        self._attempts = redis.register_script(_ATTEMPTS)
        self._agree = redis.register_script(_AGREE)
        self._planned = redis.register_script(_PLANNED)
        self._report = redis.register_script(_REPORT)
        self._commit = redis.register_script(_COMMIT)
        self._part = redis.register_script(_PART)
        self._parts_sent = redis.register_script(_PARTS_SENT)
        self._finish = redis.register_script(_FINISH)

    def create(
        self, id: str, owner: str, spec: Spec, size: int, binding: Binding | None = None
    ) -> Job:
        """Write the record of a job whose upload has begun, and bind its Idempotency-Key to it.

        Raises `Problem`: 409 when a repeated request has the key by now, 503 when Redis does not
        know the upload any more.
        Raises `RedisError`: also when all of it is written, but Redis's answer is late or lost.
        """
        created = now()
        job = Job(
            id,
            owner,
            process="predict" if isinstance(spec, specs.Prediction) else "train",
            status=ACCEPTED,
            message="waiting for a worker",
            created=created,
            updated=created,
            spec=specs.encode(spec),
            size=size,
        )
        keys = [_UPLOAD + id, _JOB + id, _OPEN, _OWNER + owner]
        key: list[str | int] = ["", "", 0]
        if binding is not None:
            keys.append(binding.name)
            key = [binding.reserved, binding.bound, binding.ttl_seconds]
        pairs = [part for pair in fields_of(job).items() for part in pair]
        refused = self._create(keys=keys, args=[id, datetime.now(UTC).timestamp(), *key, *pairs])
        if refused == b"key":
            raise again(IN_USE)
        if refused == b"upload":
            raise busy("the job queue has lost this upload, or it took a day: send it again", 1.0)
        return job

    def get(self, id: str) -> Job | None:
        """Read a job; None when there is no such job or it has expired."""
        return read_job(cast(dict[bytes, bytes], self.redis.hgetall(_JOB + id)))

    def status(self, id: str) -> str:
        """Read a job's status; the empty string when there is no such job."""
        return cast(bytes, self.redis.hget(_JOB + id, "status") or b"").decode()

    def jobs_of(self, owner: str, limit: int) -> list[Job]:
        """Read an owner's jobs, the newest first, and drop the ids of expired ones."""
        key = _OWNER + owner
        ids = cast(list[bytes], self.redis.zrevrange(key, 0, limit - 1))
        pipeline = self.redis.pipeline(transaction=False)
        for id in ids:
            pipeline.hgetall(_JOB + id.decode())
        found = [read_job(fields) for fields in pipeline.execute()]
        expired = [id for id, job in zip(ids, found, strict=True) if job is None]
        if expired:
            self.redis.zrem(key, *expired)
        return [job for job in found if job is not None]

    def open_ids(self) -> list[str]:
        """Read the ids of all jobs that have not ended."""
        return [id.decode() for id in cast(list[bytes], self.redis.zrange(_OPEN, 0, -1))]

    def forget_open(self, id: str) -> None:
        """Remove the id of an expired job from the open ones."""
        self.redis.zrem(_OPEN, id)

    def mark_sent(self, id: str) -> None:
        """Note that the job's first message has been sent to the queue."""
        self._mark_sent(keys=[_JOB + id])

    def begin(self, id: str, part: int) -> int:
        """Count that a worker begins a part, of a job that is running from now on.

        Returns the number of attempts at the part, with this one; 0 when the job has ended.
        """
        return cast(int, self._begin(keys=[_JOB + id], args=[now(), f"attempts:{part}"]))

    def attempts(self, id: str, part: int, by: int = 0) -> int:
        """Correct the number of attempts at a part, and return it."""
        return cast(int, self._attempts(keys=[_JOB + id], args=[f"attempts:{part}", by]))

    def agree_on_rows(self, id: str, rows: int) -> int:
        """Return how many rows each part of a running job has: those that were said first.

        Two workers may plan the same job, since one that is silent for a while is thought to be
        dead. Each measures another number; with the same one, their plans are the same. 0 when the
        job has ended.
        """
        return cast(int, self._agree(keys=[_JOB + id], args=[rows]))

    def mark_planned(self, id: str, points: int, parts: int) -> int:
        """Note how many points and parts a running job has; return how many of them are sent."""
        return cast(int, self._planned(keys=[_JOB + id], args=[points, parts]))

    def mark_parts_sent(self, id: str, parts: int) -> None:
        """Note that the first `parts` parts of a running job have been sent, if not more have."""
        self._parts_sent(keys=[_JOB + id, LATER], args=[id, parts])

    def report(self, id: str, message: str, percent: float) -> None:
        """Note the progress of a running training."""
        self._report(keys=[_JOB + id], args=[now(), message, percent])

    def commit(self, id: str, version: str, message: str) -> tuple[str, str] | None:
        """Note the version that a training has stored: it is too late to cancel the job.

        Returns the version and the message that the job is to end with: those of the worker that
        was first, as another one may have trained, too. None when the job has ended.
        """
        first = cast(list[bytes], self._commit(keys=[_JOB + id], args=[now(), version, message]))
        return (first[0].decode(), first[1].decode()) if first else None

    def mark_part_done(self, id: str, part: int, points: int) -> int:
        """Note that a part's result is stored; return how many are, 0 when the job has ended."""
        return cast(int, self._part(keys=[_JOB + id, _DONE + id], args=[now(), part, points]))

    def parts_done(self, id: str) -> set[int]:
        """Read which parts have a stored result."""
        return {int(i) for i in cast(set[bytes], self.redis.smembers(_DONE + id))}

    def finish(self, id: str, status: Status, message: str, **fields: str | bytes) -> bool:
        """End a job; False, and nothing changes, when it has ended already."""
        pairs = [text for pair in fields.items() for text in pair]
        keys = [_JOB + id, _DONE + id, _OPEN, LATER]
        args = [now(), status, self._ttl, id, "message", message, *pairs]
        return bool(self._finish(keys=keys, args=args))

    def begin_upload(self, id: str) -> None:
        """Protect the blobs of a job that has no record yet from being deleted."""
        self.redis.set(_UPLOAD + id, 1, ex=_UPLOAD_SECONDS)

    def end_upload(self, id: str) -> None:
        """End what `begin_upload` began; the job cannot be created any more."""
        self.redis.delete(_UPLOAD + id)

    def is_uploading(self, id: str) -> bool:
        """Whether the input of this job is still being received.

        Ask this before the status: the upload of a job that is accepted ends after the record is
        written, so that one of the two answers is always yes.
        """
        return bool(self.redis.exists(_UPLOAD + id))
