"""Where many points are cut, so that all replicas are busy to the end."""

from __future__ import annotations

from collections.abc import Iterator

SMALLEST = 1024
"""Points that are not worth two requests: a multiple of the server's tiles, as all parts are, so
that cutting changes no bit."""


def parts(n: int, rows: int, at_once: int) -> Iterator[slice]:
    """Cut n points into parts of at most `rows`, smaller ones towards the end.

    Connections are seldom spread evenly: of eight, six may lead to the same replica, which then
    has six parts left when nothing waits any more. A part is half of what remains for each of the
    requests `at_once` (guided self-scheduling, Polychronopoulos and Kuck 1987), so that little
    remains.
    """
    start = 0
    while start < n:
        share = (n - start) // (2 * at_once) // SMALLEST * SMALLEST
        size = min(rows, max(SMALLEST, share))
        yield slice(start, start + size)
        start += size
