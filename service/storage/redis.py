"""Blobs in Redis, each a hash of numbered pieces."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from redis import Redis, RedisError
from redis.backoff import ConstantBackoff
from redis.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from service.storage.blobs import (
    ABANDONED_SECONDS,
    PIECE,
    BlobMissing,
    Blobs,
    StorageError,
    StorageFull,
    resized,
    storage_errors,
)

_PREFIX = "gpserve:blob:"
_WRITING = "gpserve:writing:"

_COMPLETE = """
local unfinished, key, pieces, token = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
if redis.call('HLEN', unfinished) == pieces then
    redis.call('HSET', unfinished, 'token', token, unpack(ARGV, 3))
    redis.call('RENAME', unfinished, key)
    redis.call('PERSIST', key)
elseif redis.call('HGET', key, 'token') ~= token then
    return redis.error_reply('pieces that were written before are missing')
end
"""
"""Write the last piece and the size, and put the blob in the place of an older one.

When the answer is lost, it is run again: the token says that it has already been done.
"""

_CONNECT_SECONDS = 1.2
"""For each step until a connection is ready: TCP, TLS, the password, the number of the database.
An address that is wrong, or that a firewall drops, is known after one of them."""

ANSWER_SECONDS = 10.0
"""For a piece of a blob, which a slow disk has to write."""

SHORT_ANSWER_SECONDS = 2.0
"""For what a caller waits for and is small."""

FOREVER = -1


def connect(url: str, *, retries: int = 1, answer_seconds: float = ANSWER_SECONDS) -> Redis:
    """Return a client that reconnects; with `FOREVER` it waits for an unavailable Redis.

    A Redis that became read-only is asked anew on another connection: after a failover its address
    is that of another one.
    """

    def greet(connection: AbstractConnection) -> None:
        connection.on_connect()  # type: ignore[no-untyped-call]
        connection.update_current_socket_timeout(answer_seconds)

    # Another try helps when a connection was closed meanwhile, but not when there is no answer.
    again = (NoConnection, ReadOnlyError, *((NoAnswer,) if retries == FOREVER else ()))
    return Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_CONNECT_SECONDS,  # TLS has no other; raised once the connection is ready
        redis_connect_func=greet,
        retry=Retry(ConstantBackoff(0.2), retries, again),
    )


def explained(error: Exception, url: str) -> str:
    """Return an error's text, with what to look at in the address of the settings."""
    tls = url.startswith("rediss://")
    if isinstance(error, AuthenticationError):
        hint = "check the user and the password in GPSERVE_REDIS_URL"
    elif tls and isinstance(error, NoAnswer):
        hint = "if it does not speak TLS, GPSERVE_REDIS_URL begins with redis://"
    elif not tls and ("closed by server" in str(error) or isinstance(error, InvalidResponse)):
        hint = "if it speaks TLS only, GPSERVE_REDIS_URL begins with rediss://"
    else:
        return str(error)
    return f"{error} ({hint})"


class RedisBlobs(Blobs):
    """Hashes ``gpserve:blob:<name>``, with the field ``size`` and the pieces by number."""

    def __init__(self, url: str, *, retries: int = 1) -> None:
        self._redis = connect(url, retries=retries)
        self._complete = self._redis.register_script(_COMPLETE)

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write the pieces to a hash of their own, which becomes the blob with the last of them."""
        token = secrets.token_hex(8)
        unfinished = _WRITING + token
        count, size, last = 0, 0, b""
        try:
            with storage_errors("write", name, RedisError, (OutOfMemoryError,)):
                for piece in resized(pieces):
                    if size:
                        self._add(unfinished, count, last)
                        count += 1
                    last = piece
                    size += len(piece)
                end: list[bytes | int | str] = [count, last] if size else []
                keys = [unfinished, _PREFIX + name]
                self._complete(keys, [count, token, "size", size, *end])
        except StorageFull:
            self._discard(unfinished)
            raise
        except StorageError:
            raise  # the unfinished hash expires: Redis does not answer now
        except BaseException:
            self._discard(unfinished)
            raise
        return size

    def _add(self, unfinished: str, number: int, piece: bytes) -> None:
        pipeline = self._redis.pipeline()
        pipeline.hset(unfinished, str(number), piece)
        pipeline.expire(unfinished, ABANDONED_SECONDS)
        pipeline.execute()

    def _discard(self, unfinished: str) -> None:
        with suppress(RedisError):  # the reason for it matters more, and it expires
            self._redis.unlink(unfinished)

    def size(self, name: str) -> int:
        """Return the field ``size``."""
        with storage_errors("read", name, RedisError):
            size = self._redis.hget(_PREFIX + name, "size")
        if size is None:
            raise BlobMissing(name)
        return int(cast(bytes, size))

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return part of the blob, from the pieces that contain it."""
        if stop <= start:
            return b""
        first, last = start // PIECE, (stop - 1) // PIECE
        fields = [str(i) for i in range(first, last + 1)]
        with storage_errors("read", name, RedisError):
            found = cast(list[bytes | None], self._redis.hmget(_PREFIX + name, fields))
        if None in found:
            raise BlobMissing(name)
        joined = b"".join(cast(list[bytes], found))
        return joined[start - first * PIECE : stop - first * PIECE]

    def names(self, prefix: str) -> list[str]:
        """Return the names, by a scan over the keys."""
        with storage_errors("list", prefix, RedisError):
            keys = self._redis.scan_iter(f"{_PREFIX}{prefix}*", count=1000)
            return sorted(key.decode().removeprefix(_PREFIX) for key in keys)

    def delete(self, name: str) -> None:
        """Unlink the hash: Redis frees a large one in the background."""
        with storage_errors("delete", name, RedisError):
            self._redis.unlink(_PREFIX + name)
