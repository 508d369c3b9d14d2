"""Documents that are parsed as a whole: one large one at a time, and its memory is given back."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames
from typing import Any

LARGE = 256 << 10
"""Bytes of a document that takes noticeable memory: parsed, a byte becomes up to 25."""

one_at_a_time = threading.Lock()
"""Held by the thread that turns text into objects.

The decoders run for milliseconds without letting another thread run: if several wait for each
other, the event loop waits for all of them each time. Never hold this while a client sends: a slow
one would stop all others.
"""


@contextmanager
def parsing(size: int) -> Iterator[None]:
    """Parse a document of so many bytes here, until its objects have become arrays.

    Only one large document at a time.
    """
    if size < LARGE:
        yield
        return
    with one_at_a_time:
        gc.disable()  # it would walk over millions of new lists again and again
        try:
            yield
        except Exception as error:
            clear_frames(error.__traceback__)  # they hold what was parsed
            raise
        finally:
            gc.enable()
            give_back_memory()


def give_back_memory() -> None:
    """Return free memory to the system, which glibc would keep for later."""
    if _trim is not None:
        _trim(0)


def give_back_pieces() -> None:
    """Do so after many small objects: some are in cycles, as with an error and its frames."""
    gc.collect()
    give_back_memory()


try:
    _trim: Any = ctypes.CDLL(None).malloc_trim
except (OSError, AttributeError):  # another C library than glibc
    _trim = None
