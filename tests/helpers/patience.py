"""Timeouts that are long enough for a busy machine, where slow is not wrong.

Large tables are computed at a lower priority (service/runtime/pool.py): next to other busy
processes they get a tenth of a core or less, and half a second of work takes ten seconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0


def until(found: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Call a function until its result is true, and return that result."""
    end = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not after {seconds} s")
        time.sleep(0.05)


def report_if_late(what: str, took: float, seconds: float) -> None:
    """Add a warning to pytest's summary if something took longer than promised."""
    if took > seconds:
        warnings.warn(f"{what} took {took:.1f} s; promised are {seconds:g} s", stacklevel=2)
