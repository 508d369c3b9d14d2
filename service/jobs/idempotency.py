"""Idempotency keys: a request that is sent again with the same key is the same job."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, NoReturn, cast

from flask import Request
from redis import Redis, RedisError
from redis.client import Pipeline
from werkzeug.wsgi import get_input_stream

from service.services.problems import Problem, malformed

_LONGEST = 200
_PIECE = 1 << 20
_LEASE_SECONDS = 5
"""A key whose request is no longer received, since its server was killed, is free after that."""

_FREE = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""


class DigestedBody(io.RawIOBase):
    """A request's body that is digested while somebody reads it.

    Attributes
    ----------
    progress : called after each piece
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.progress: Callable[[], object] = int

    def readable(self) -> bool:
        """A raw stream, as WSGI's input may be."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`."""
        piece = self._source.read(len(buffer))
        self._digest.update(piece)
        buffer[: len(piece)] = piece
        self.progress()
        return len(piece)

    def whole(self) -> str:
        """The digest of the whole body; what nobody has read is read now."""
        while self.read(_PIECE):
            pass
        return self._digest.hexdigest()


def digest_body(request: Request) -> None:
    """Have the body digested from its first byte on, when the request has a key."""
    if request.headers.get("Idempotency-Key"):
        request.environ["wsgi.input"] = DigestedBody(get_input_stream(request.environ))


class Key:
    """A request's Idempotency-Key.

    Raises
    ------
    Problem
        400 for a key that is too long.
    """

    def __init__(self, request: Request) -> None:
        text = request.headers["Idempotency-Key"]
        if len(text) > _LONGEST:
            raise malformed(f"the Idempotency-Key is longer than {_LONGEST} characters")
        self.name = hashlib.sha256(text.encode()).hexdigest()
        self._request = request

    @property
    def body(self) -> DigestedBody:
        """The body of the request that has this key."""
        return cast(DigestedBody, self._request.environ["wsgi.input"])

    def fingerprint(self) -> str:
        """What tells this request from others; reads the body to its end."""
        request = self._request
        asked = (request.method, request.full_path, request.mimetype)
        parts = [*asked, request.headers.get("Accept", ""), self._body()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _body(self) -> str:
        request = self._request
        if request.mimetype != "multipart/form-data":
            return self.body.whole()
        # A client that repeats a form draws another boundary: the parts are what counts.
        parts = [f"{name}={value}" for name, value in sorted(request.form.items(multi=True))]
        for name, file in sorted(request.files.items(multi=True)):
            file.stream.seek(0)
            digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
            parts.append(f"{name}={file.filename}={file.mimetype}={digest}")
        return "\n".join(parts)


class Keys:
    """The keys of one owner, in Redis: those of different owners have nothing to do with others."""

    def __init__(self, redis: Redis, owner: str, ttl_seconds: float) -> None:
        self._redis = redis
        self._prefix = f"gpserve:key:{owner}:"
        self._ttl = int(ttl_seconds)
        self._free = redis.register_script(_FREE)

    def reserve(self, key: Key, id: str) -> str:
        """The id of the job that has this key; it is `id` when nobody has used the key before.

        Raises
        ------
        Problem
            422 when the key was used for another request, 409 while that is being received.
        """
        name = self._prefix + key.name
        if self._redis.set(name, _received(id), nx=True, ex=_LEASE_SECONDS):
            key.body.progress = self._renewal(name)
            return id
        known = cast(bytes, self._redis.get(name) or b"? ").decode()
        fingerprint, _, job = known.partition(" ")
        if fingerprint == "?":
            raise _in_use()
        if fingerprint != key.fingerprint():
            raise Problem(422, "this Idempotency-Key was used for a different request")
        return job

    def _renewal(self, name: str) -> Callable[[], None]:
        renewed = time.monotonic()

        def renew() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _LEASE_SECONDS / 10:
                renewed = time.monotonic()
                with suppress(RedisError):  # without Redis nobody else takes the key
                    self._redis.expire(name, _LEASE_SECONDS)

        return renew

    def settle(self, pipeline: Pipeline, key: Key, id: str) -> None:
        """Note which request the key belongs to, in the transaction that creates its job.

        Raises
        ------
        Problem
            409 when the lease ended and a repeated request has the key now.
        """
        name, known = self._prefix + key.name, f"{key.fingerprint()} {id}"
        pipeline.watch(name)  # type: ignore[no-untyped-call]
        if cast(bytes | None, pipeline.get(name)) not in (None, _received(id).encode()):
            raise _in_use()
        pipeline.multi()
        pipeline.set(name, known, ex=self._ttl)

    def release(self, key: Key, id: str) -> None:
        """Free the key of a request that was refused."""
        self._free(keys=[self._prefix + key.name], args=[_received(id)])

    def forget(self, key: Key, id: str) -> NoReturn:
        """Free the key of a job that Redis has lost; 409, since this request is read already."""
        self._free(keys=[self._prefix + key.name], args=[f"{key.fingerprint()} {id}"])
        raise _again("the job of this Idempotency-Key is lost: send the request again")


def _received(id: str) -> str:
    return f"? {id}"


def _in_use() -> Problem:
    return _again("a request with this Idempotency-Key is being received")


def _again(said: str) -> Problem:
    return Problem(409, said, headers={"Retry-After": "1"})
