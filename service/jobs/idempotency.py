"""Idempotency keys: a request that is repeated with the same key is the same job."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, cast

from redis import Redis, RedisError

from service.services.body import DigestedBody
from service.services.errors import Problem, malformed

_LONGEST = 200
_LEASE_SECONDS = 5
"""How long a key stays reserved without a sign of the request, whose server may have died."""

IN_USE = "a request with this Idempotency-Key is being received"

_RENEW = """
local value = redis.call('get', KEYS[1])
if value and value ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A request's Idempotency-Key, and what distinguishes the request from others.

    Attributes
    ----------
    text : the header's value
    head : the method, the path with its query string, the headers that change the answer
    body : the request's body, which may not have arrived yet
    digest_body : reads the body to its end and returns its digest

    Raises `Problem`: 400 for a key that is too long.
    """

    text: str
    head: tuple[str, ...]
    body: DigestedBody
    digest_body: Callable[[], str]

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            raise malformed(f"the Idempotency-Key is longer than {_LONGEST} characters")

    def fingerprint(self) -> str:
        """Digest the whole request; reads the body to its end."""
        parts = "\n".join([*self.head, self.digest_body()])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


class Binding(NamedTuple):
    """What binds a key to its request, in the step that creates the job.

    Attributes
    ----------
    name : of the key in Redis
    reserved, bound : the key's value before and afterwards
    ttl_seconds : how long the key stays bound
    """

    name: str
    reserved: str
    bound: str
    ttl_seconds: int


class Reservation:
    """The key of one owner in Redis; another owner's equal key is a different key."""

    def __init__(self, redis: Redis, owner: str, key: Key, ttl_seconds: float) -> None:
        self._redis = redis
        self._key = key
        self._name = f"gpserve:key:{owner}:{hashlib.sha256(key.text.encode()).hexdigest()}"
        self._ttl = int(ttl_seconds)
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)

    def reserve(self, id: str) -> str:
        """The id of the job that has this key; it is `id` if the key is new.

        Raises `Problem`: 422 when the key was used for another request, 409 while that is being
        received. Reading the body of a request whose key is new raises a `Problem` 409 when the
        reservation expired and a repeated request has the key now.
        """
        if self._redis.set(self._name, _reserved(id), nx=True, ex=_LEASE_SECONDS):
            self._key.body.on_read = self._renewal(id)
            return id
        value = cast(bytes, self._redis.get(self._name) or b"? ").decode()
        fingerprint, _, job = value.partition(" ")
        if fingerprint == "?":
            raise again(IN_USE)
        if fingerprint != self._key.fingerprint():
            raise Problem(422, "this Idempotency-Key was used for a different request")
        return job

    def _renewal(self, id: str) -> Callable[[], None]:
        renewed = time.monotonic()

        def renew() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _LEASE_SECONDS / 10:
                renewed = time.monotonic()
                with suppress(RedisError):  # without Redis nobody else takes the key
                    self._extend(id)

        return renew

    def _extend(self, id: str) -> None:
        """Reserve the key for longer, unless a repeated request took it while this one stalled."""
        if not self._renew(keys=[self._name], args=[_reserved(id), _LEASE_SECONDS]):
            raise again(IN_USE)

    def binding(self, id: str) -> Binding:
        """What binds the key to its request; reads the body to its end."""
        return Binding(self._name, _reserved(id), self._bound(id), self._ttl)

    def _bound(self, id: str) -> str:
        return f"{self._key.fingerprint()} {id}"

    def release(self, id: str) -> None:
        """Release the key of a request that was refused."""
        self._release(keys=[self._name], args=[_reserved(id)])

    def forget(self, id: str) -> NoReturn:
        """Release the key of a job that Redis has lost.

        Raises `Problem`: 409, always: the body of this request is consumed, so the caller must send
        it again.
        """
        self._release(keys=[self._name], args=[self._bound(id)])
        raise again("the job of this Idempotency-Key is lost: send the request again")


def _reserved(id: str) -> str:
    return f"? {id}"


def again(detail: str) -> Problem:
    """409 for a request that can be sent again in a second."""
    return Problem(409, detail, headers={"Retry-After": "1"})
