"""Points on their way through the service: whole at once when few, in chunks when many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from service.model import BoolArray, FloatArray
from service.services.errors import unusable
from service.services.features import Features

Cells = list[list[str]]

CHUNK_TILES = 16
"""Tiles of the model in a chunk: enough that a change of threads costs little beside it, and keeps
a few CPUs busy; little enough to stay small."""


@dataclass(slots=True)
class Chunk:
    """Rows that follow each other.

    Attributes
    ----------
    X : shape (n, d), finite; a bad row holds a stand-in
    cells : the text of the table's cells, when the points came as a table
    text : instead of cells, the rows as an answer repeats them, each with a line break at its end,
        when they are plain
    size : how many bytes of the body plain rows take, at most
    errors : the reason for each bad row, by its index in the chunk
    dropped : the index in the table, and the reason, of bad rows that are left out
    """

    X: FloatArray
    cells: Cells | None = None
    errors: dict[int, str] = field(default_factory=dict)
    dropped: list[tuple[int, str]] = field(default_factory=list)
    text: bytes | None = None
    size: int = 0


@dataclass(slots=True)
class Answered:
    """A chunk with its prediction.

    Attributes
    ----------
    values : shape (n, k), NaN in bad rows
    extrapolated : shape (n,), which points are outside the training range
    """

    chunk: Chunk
    values: FloatArray
    extrapolated: BoolArray


@dataclass(slots=True)
class Source:
    """Points in the order of their rows.

    Attributes
    ----------
    columns : the names of the columns that a table's answer repeats
    shape : the leading shape, for n points of prod(shape) = n; None when not counted yet
    chunks : each of `CHUNK_TILES` tiles, the last one longer by what is left over
    delimiter, commas : of the table: between its cells, and whether its decimals have a comma
    """

    columns: list[str]
    shape: tuple[int, ...] | None
    chunks: Iterator[Chunk]
    delimiter: str = ","
    commas: bool = False


def row_ranges(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of parts of `size` of n rows; what is left over joins the last one.

    No part is so short that its rows would be computed in another way, with other bits.
    """
    last = max(n // size - 1, 0) * size
    for a in range(0, last, size):
        yield a, a + size
    if n:
        yield last, n


def refuse_unusable(X: FloatArray, features: Features, start: int, of: str = "") -> None:
    """Raise a `Problem` 422 for a point that is not finite or has a wrong code, with its ``row``.

    Parameters
    ----------
    X : shape (n, d)
    start : the row number of the first point
    of : what the points belong to, for the message, as in " of the array"
    """
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if bad.size:
        row = start + int(bad[0])
        raise unusable(f"point {row}{of} is not finite: {X[bad[0]].tolist()}", row=row)
    features.refuse_wrong_codes(X, start, of)
