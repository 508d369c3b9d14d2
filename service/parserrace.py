"""NumPy parses each array's header as Python, and two threads that do so may disturb each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_ATTEMPTS = 10


def past_parser_race(read: Callable[[], T]) -> T:
    """What `read` returns, called again when CPython's parser has lost count of its depth.

    Before 3.11.8 it raises `SystemError` in a thread that was interrupted while another parsed
    (gh-106905). No lock helps: the other may be of another library, which knows of none.
    """
    for _ in range(_ATTEMPTS - 1):
        with suppress(SystemError):
            return read()
    return read()
