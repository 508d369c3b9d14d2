"""How long a test waits for what must come. A busy machine is late, and that is not wrong.

Large tables are computed at a lower priority (service/runtime/pool.py): beside busy neighbours they
get a tenth of a core and less, and half a second's work takes ten.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0


def until(found: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not after {seconds} s")
        time.sleep(0.05)


def report_if_late(what: str, took: float, seconds: float) -> None:
    """Warn, in pytest's summary, when it took more time than is promised."""
    if took > seconds:
        warnings.warn(f"{what} took {took:.1f} s; promised are {seconds:g} s", stacklevel=2)
