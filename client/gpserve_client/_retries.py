"""When to send a request again: the server is full, restarting or unreachable."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.retry import retry_if_exception_type
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_fixed

from gpserve_client.errors import ServiceError, VersionChanged

UNREACHABLE = httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.ConnectTimeout
TRANSIENT = frozenset({429, 502, 503, 504})
KEY_IN_USE = 409
"""With Retry-After: a request with the same Idempotency-Key is still being received."""
LONGEST_WAIT = 120.0
"""Seconds. If the server asks to wait longer, its error is raised: an earlier retry would fail."""

_backoff = wait_random_exponential(multiplier=0.1, max=5.0)


def while_unavailable(attempts: int) -> dict[str, Any]:
    """Return arguments for tenacity: retry while the server is unavailable, when it says to."""
    return {
        "retry": retry_if_exception(_is_transient),
        "wait": _wait,
        "stop": stop_after_attempt(attempts),
        "reraise": True,
    }


def on_version_change(seconds: float, forget_model: Callable[[], None]) -> dict[str, Any]:
    """Return arguments for tenacity: start again while a new version is being activated.

    `forget_model` is called after every `VersionChanged`, also the last one.
    """
    return {
        "retry": retry_if_exception_type(VersionChanged),
        "wait": wait_fixed(0.3),
        "stop": stop_after_delay(seconds),
        "after": lambda _: forget_model(),
        "reraise": True,
    }


def retry_after_seconds(value: str) -> float | None:
    """Return the seconds of a Retry-After header in either form; None without a valid one."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, ServiceError):
        if error.retry_after:
            if (retry_after_seconds(error.retry_after) or 0.0) > LONGEST_WAIT:
                return False
            return error.status in TRANSIENT | {KEY_IN_USE}
        # The service itself always sends Retry-After, unless waiting does not help, as when jobs
        # are not configured; a proxy in front of it may not.
        return error.status in TRANSIENT and not error.request_id
    return isinstance(error, UNREACHABLE)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = retry_after_seconds(error.retry_after) if isinstance(error, ServiceError) else None
    if asked is None:
        return _backoff(state)
    # jitter, so that clients that were refused together do not all return together
    return asked * random.uniform(1.0, 1.2)
