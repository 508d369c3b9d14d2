"""When to ask again: the server is full, restarting, or was not reached."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.retry import retry_if_exception_type
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_fixed

from gpserve_client.errors import ServiceError, VersionChanged

TRANSIENT = frozenset({429, 502, 503, 504})
BEING_RECEIVED = 409
"""With a Retry-After: the same Idempotency-Key is on its way on another connection."""
LONGEST_WAIT = 120.0
"""Seconds. Who is asked to wait longer is told so by the error: asking earlier is no use."""

_backoff = wait_random_exponential(multiplier=0.1, max=5.0)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, ServiceError):
        if error.retry_after:
            if (seconds_of(error.retry_after) or 0.0) > LONGEST_WAIT:
                return False
            return error.status in TRANSIENT | {BEING_RECEIVED}
        # The service itself always says when, unless waiting is no use: jobs are not configured.
        return error.status in TRANSIENT and not error.request_id
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)


def seconds_of(retry_after: str) -> float | None:
    """A Retry-After header in seconds, whichever of its two forms it has; None without one."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    said = seconds_of(error.retry_after) if isinstance(error, ServiceError) else None
    if said is None:
        return _backoff(state)
    # not all who were sent away come back in the same instant
    return said * random.uniform(1.0, 1.2)


def of_requests(attempts: int) -> dict[str, Any]:
    """For tenacity: ask again when the server is full or away, as late as it says."""
    return {
        "retry": retry_if_exception(_is_transient),
        "wait": _wait,
        "stop": stop_after_attempt(attempts),
        "reraise": True,
    }


def of_versions(seconds: float) -> dict[str, Any]:
    """For tenacity: begin again when a new version is being activated."""
    return {
        "retry": retry_if_exception_type(VersionChanged),
        "wait": wait_fixed(0.3),
        "stop": stop_after_delay(seconds),
        "reraise": True,
    }
