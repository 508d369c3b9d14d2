"""Where many points are cut, so that all replicas are busy to the end."""

from __future__ import annotations

from collections.abc import Iterator

TILE = 256
"""Points that the server computes at a time, counted from the first: where a cut is a multiple of
it, and no part is shorter, cutting changes no bit."""

SMALLEST = 4 * TILE
"""Points that are not worth two requests."""

SAMPLE_VALUES = 1_000_000
"""Points times draws that a server takes in a request, unless its settings say otherwise."""


def rows_of_draws(samples: int, rows: int) -> int:
    """Points of one request with so many draws of each: `rows`, or fewer."""
    return min(rows, max(1, SAMPLE_VALUES // samples))


def draws_apart(n: int, samples: int) -> bool:
    """Whether the draws of n points are asked for by themselves, apart from mean and variance.

    They are the same functions however they are cut. The others keep their bits only where no part
    is shorter than a tile, which takes parts of up to two: so many draws would be too much.
    """
    return samples * n > SAMPLE_VALUES and samples * 2 * TILE > SAMPLE_VALUES


def parts(n: int, rows: int, at_once: int) -> Iterator[slice]:
    """Cut n points into parts of at most `rows`, smaller ones towards the end.

    Connections are seldom spread evenly: of eight, six may lead to the same replica, which then
    has six parts left when nothing waits any more. A part is half of what remains for each of the
    requests `at_once` (guided self-scheduling, Polychronopoulos and Kuck 1987), so that little
    remains.
    """
    largest = rows // TILE * TILE or rows
    smallest = min(SMALLEST, largest)
    start = 0
    while start < n:
        share = (n - start) // (2 * at_once) // smallest * smallest
        size = _whole(min(largest, max(smallest, share)), n - start, rows)
        yield slice(start, start + size)
        start += size


def _whole(size: int, left: int, rows: int) -> int:
    """The size of a part that leaves nothing, or no less than a tile if `rows` allow it."""
    if not size < left < size + TILE:
        return size
    if left <= rows:
        return left
    return size - TILE if size > TILE else size
