"""How often a key may ask: requests and points per second, counted in Redis for all replicas."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from service.runtime.callers import Caller
from service.services.errors import Problem, too_large

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import SlidingWindowCounterRateLimiter

log = logging.getLogger(__name__)

Counted = Literal["requests", "points"]

_WINDOW_SECONDS: dict[Counted, int] = {"requests": 1, "points": 10}
"""Points are counted over a longer time, so that one request may have more than a second's."""

_LONGER_SECONDS = 10
_CLOSE = 0.99
"""A limit is a whole number. One that is less than this share of the rate over these windows is
counted over a longer one, up to so many seconds."""

_ANSWER_SECONDS = 0.25
_UNCOUNTED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit, for the headers ``RateLimit-Policy`` and ``RateLimit``.

    Attributes
    ----------
    most, seconds : as many in so many seconds
    left, reset : what is left, and in how many seconds all of it will be there again
    """

    counted: Counted
    most: int
    seconds: int
    left: int
    reset: int

    @property
    def policy(self) -> str:
        """The limit, as in ``"requests";q=50;w=1``."""
        return f'"{self.counted}";q={self.most};w={self.seconds}'

    @property
    def state(self) -> str:
        """What is left of it, as in ``"requests";r=49;t=1``."""
        return f'"{self.counted}";r={self.left};t={self.reset}'


class RateLimits:
    """Counts what keys with limits ask for.

    Parameters
    ----------
    redis_url : where it is counted; without Redis each process counts for itself
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._uncounted_until = 0.0

    def take(self, caller: Caller, counted: Counted, cost: int = 1) -> Allowance | None:
        """Count requests or points; None when the caller has no such limit.

        While Redis does not answer nothing is counted: a limit protects the service, and must not
        stop it.

        Raises `Problem`: 429 when the limit is reached, 413 for more points than it ever allows.
        """
        limits = caller.limits
        rate = limits.requests_per_second if counted == "requests" else limits.points_per_second
        if rate is None:
            return None
        most, seconds = _quota(rate, _WINDOW_SECONDS[counted])
        if cost > most:
            raise too_large(
                f"the request has {cost} points, but this key is limited to {most} per "
                f"{seconds} s: send fewer points, or submit a job",
                points=cost,
                limit=most,
            )
        try:
            return self._take(caller.owner, counted, most, seconds, cost)
        except self._storage_error as error:
            log.warning("the limits of keys are not counted: %s", error)
            self._uncounted_until = time.monotonic() + _UNCOUNTED_SECONDS
            return None

    def _take(
        self, owner: str, counted: Counted, most: int, seconds: int, cost: int
    ) -> Allowance | None:
        if time.monotonic() < self._uncounted_until:
            return None
        item = self._item(most, seconds)
        taken = self._limiter.hit(item, owner, counted, cost=cost)
        reset, left = self._limiter.get_window_stats(item, owner, counted)
        wait = max(1, math.ceil(reset - time.time()))
        allowance = Allowance(counted, most, seconds, left, wait)
        if not taken:
            raise Problem(
                429,
                f"this key is limited to {_in_words(allowance)}: try again in {wait} s",
                where={"limit": most},
                headers={"Retry-After": str(wait), **rate_headers([allowance])},
            )
        return allowance

    def _item(self, most: int, seconds: int) -> RateLimitItem:
        from limits import RateLimitItemPerSecond

        return RateLimitItemPerSecond(most, seconds, namespace="gpserve:limit")

    @cached_property
    def _storage_error(self) -> type[Exception]:
        from limits.errors import StorageError

        return StorageError

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        # Imported here: the package takes 16 MB, which only keys with limits need.
        from limits.storage import MemoryStorage, RedisStorage
        from limits.strategies import SlidingWindowCounterRateLimiter
        from redis import ConnectionPool

        if not self._redis_url:
            return SlidingWindowCounterRateLimiter(MemoryStorage())
        pool = ConnectionPool.from_url(
            self._redis_url,
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
        )
        storage = RedisStorage("redis://", pool, key_prefix="", wrap_exceptions=True)
        return SlidingWindowCounterRateLimiter(storage)


@lru_cache
def _quota(rate: float, shortest: int) -> tuple[int, int]:
    """Return a whole number, and in how many seconds, that come to the rate and never exceed it."""
    found = 0, shortest
    for seconds in (*range(shortest, shortest + _LONGER_SECONDS), math.ceil(1 / rate)):
        most = math.floor(round(rate * seconds, 6))  # 100 times 0.29 is a little less than 29
        if most >= _CLOSE * rate * seconds:
            return most, seconds
        found = max(found, (most, seconds), key=lambda quota: quota[0] / quota[1])
    return found


def _in_words(allowance: Allowance) -> str:
    counted = allowance.counted.removesuffix("s") if allowance.most == 1 else allowance.counted
    per = "second" if allowance.seconds == 1 else f"{allowance.seconds} s"
    return f"{allowance.most} {counted} per {per}"


def rate_headers(allowances: list[Allowance]) -> dict[str, str]:
    """Return the headers that tell a caller their limits and what is left of them."""
    if not allowances:
        return {}
    return {
        "RateLimit-Policy": ", ".join(allowance.policy for allowance in allowances),
        "RateLimit": ", ".join(allowance.state for allowance in allowances),
    }
