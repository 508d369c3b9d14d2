"""Cutting many rows into parts, none so short that it would be computed another way."""

from __future__ import annotations

from collections.abc import Iterator


def spans(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Bounds of parts of `size` of n rows; what is left over joins the last one."""
    last = max(n // size - 1, 0) * size
    for a in range(0, last, size):
        yield a, a + size
    if n:
        yield last, n
