"""The record of each job in Redis: what it is asked, how far it is, how it ended.

Every change goes through a script, so that a final state never changes and no two processes
disagree. Records expire by themselves, a set time after the end.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from redis import Redis
from redis.client import Pipeline

from service.jobs import specs
from service.jobs.records import ACCEPTED, Record, now, read_record
from service.jobs.specs import Spec

_JOB, _DONE, _OWNER = "gpserve:job:", "gpserve:done:", "gpserve:owner:"
_OPEN = "gpserve:open"
_UPLOAD = "gpserve:upload:"
_UPLOAD_SECONDS = 86_400

_BEGIN = """
if redis.call('hget', KEYS[1], 'status') == 'accepted' then
  redis.call('hset', KEYS[1], 'status', 'running', 'started', ARGV[1], 'updated', ARGV[1],
             'message', ARGV[2])
end
return redis.call('hget', KEYS[1], 'status')
"""
_TELL = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return 0 end
redis.call('hset', KEYS[1], 'updated', ARGV[1], unpack(ARGV, 2))
return 1
"""
_CHUNK = """
if redis.call('hget', KEYS[1], 'status') ~= 'running' then return 0 end
if redis.call('sadd', KEYS[2], ARGV[2]) == 1 then
  redis.call('hincrby', KEYS[1], 'points_done', ARGV[3])
end
redis.call('hset', KEYS[1], 'updated', ARGV[1])
return redis.call('scard', KEYS[2])
"""
_FINISH = """
local status = redis.call('hget', KEYS[1], 'status')
if status ~= 'accepted' and status ~= 'running' then return 0 end
if ARGV[2] == 'dismissed' and redis.call('hget', KEYS[1], 'committing') == '1' then return 0 end
redis.call('hset', KEYS[1], 'status', ARGV[2], 'finished', ARGV[1], 'updated', ARGV[1],
           unpack(ARGV, 5))
redis.call('expire', KEYS[1], ARGV[3])
redis.call('expire', KEYS[2], ARGV[3])
redis.call('zrem', KEYS[3], ARGV[4])
return 1
"""


Also = Callable[[Pipeline], object]


def nothing(pipeline: Pipeline) -> None:
    """Nothing else belongs to the transaction."""


class Documents:
    """The records of all jobs."""

    def __init__(self, redis: Redis, ttl_seconds: float) -> None:
        self.redis = redis
        self._ttl = int(ttl_seconds)
        self._begin = redis.register_script(_BEGIN)
        self._tell = redis.register_script(_TELL)
        self._chunk = redis.register_script(_CHUNK)
        self._finish = redis.register_script(_FINISH)

    @staticmethod
    def new_id() -> str:
        """An id that nobody guesses."""
        return secrets.token_hex(16)

    def create(self, id: str, owner: str, spec: Spec, size: int, also: Also = nothing) -> Record:
        """Write the record of a job that is accepted, and `also` in the same transaction."""
        created = now()
        process = "predict" if isinstance(spec, specs.Prediction) else "train"
        record = Record(
            id, owner, process, ACCEPTED, "waiting for a worker", created, created,
            specs.encode(spec), size=size,
        )  # fmt: skip
        fields = {k: v for k, v in msgspec.structs.asdict(record).items() if v not in ("", b"")}
        score = datetime.now(UTC).timestamp()
        with self.redis.pipeline(transaction=True) as pipeline:
            also(pipeline)
            pipeline.hset(_JOB + id, mapping=cast(dict[Any, Any], fields))
            pipeline.zadd(_OPEN, {id: score})
            pipeline.zadd(_OWNER + owner, {id: score})
            pipeline.execute()
        return record

    def get(self, id: str) -> Record | None:
        """A job's record, or None when there is none, or no longer."""
        return read_record(cast(dict[bytes, bytes], self.redis.hgetall(_JOB + id)))

    def status(self, id: str) -> str:
        """A job's status, or the empty string."""
        found = cast(bytes | None, self.redis.hget(_JOB + id, "status"))
        return found.decode() if found else ""

    def of(self, owner: str, limit: int) -> list[Record]:
        """An owner's jobs, the newest first; those that have expired are forgotten."""
        key = _OWNER + owner
        ids = cast(list[bytes], self.redis.zrevrange(key, 0, limit - 1))
        pipeline = self.redis.pipeline(transaction=False)
        for id in ids:
            pipeline.hgetall(_JOB + id.decode())
        found = [read_record(fields) for fields in pipeline.execute()]
        gone = [id for id, record in zip(ids, found, strict=True) if record is None]
        if gone:
            self.redis.zrem(key, *gone)
        return [record for record in found if record is not None]

    def open(self) -> Iterator[str]:
        """The ids of all jobs that have not ended."""
        for id in cast(list[bytes], self.redis.zrange(_OPEN, 0, -1)):
            yield id.decode()

    def forget_open(self, id: str) -> None:
        """Drop an id whose record is gone from the list of open jobs."""
        self.redis.zrem(_OPEN, id)

    def enqueued(self, id: str) -> None:
        """Note that the queue has the job."""
        self._set(id, enqueued=1)

    def planned(self, id: str, points: int, chunks: int) -> None:
        """Note how many points and chunks there are."""
        self._set(id, points=points, chunks=chunks)

    def _set(self, id: str, **fields: int) -> None:
        if self.redis.exists(_JOB + id):
            self.redis.hset(_JOB + id, mapping=cast(dict[Any, Any], fields))

    def begin(self, id: str, message: str) -> str:
        """From accepted to running; return the status."""
        found = cast(bytes | None, self._begin(keys=[_JOB + id], args=[now(), message]))
        return found.decode() if found else ""

    def tell(self, id: str, message: str, percent: float) -> None:
        """Say how far a running job is."""
        self._tell(keys=[_JOB + id], args=[now(), "message", message, "percent", percent])

    def commit(self, id: str) -> bool:
        """Enter the part that is not cancelled any more; False when the job has ended."""
        return bool(self._tell(keys=[_JOB + id], args=[now(), "committing", 1]))

    def chunk_done(self, id: str, chunk: int, points: int) -> int:
        """Note that a chunk's result is stored; return how many are, 0 for an ended job."""
        return cast(int, self._chunk(keys=[_JOB + id, _DONE + id], args=[now(), chunk, points]))

    def chunks_done(self, id: str) -> set[int]:
        """The chunks whose results are stored."""
        return {int(i) for i in cast(set[bytes], self.redis.smembers(_DONE + id))}

    def attempt(self, id: str, chunk: int, by: int = 1) -> int:
        """Count that a worker begins with a chunk; return how many have."""
        return self.redis.hincrby(_JOB + id, f"attempts:{chunk}", by)

    def finish(self, id: str, status: str, message: str, **fields: Any) -> bool:
        """End a job, unless it has ended: then nothing changes and the answer is False."""
        said = [text for pair in fields.items() for text in pair]
        keys = [_JOB + id, _DONE + id, _OPEN]
        args = [now(), status, self._ttl, id, "message", message, *said]
        return bool(self._finish(keys=keys, args=args))

    def uploading(self, id: str) -> None:
        """Protect the blobs of an upload whose record is not written yet."""
        self.redis.set(_UPLOAD + id, 1, ex=_UPLOAD_SECONDS)

    def uploaded(self, id: str) -> None:
        """End what `uploading` began."""
        self.redis.delete(_UPLOAD + id)

    def is_uploading(self, id: str) -> bool:
        """Whether an upload for this job is still being received."""
        return bool(self.redis.exists(_UPLOAD + id))
