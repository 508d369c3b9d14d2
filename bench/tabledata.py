"""The large files to upload, written once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bench.places import BUILD

_DISTINCT = 1_000_000


def points(rows: int) -> np.ndarray:
    """Return points in the training range, shape (rows, 4)."""
    return np.random.default_rng(5).random((rows, 4)).round(6)


def table_within(ranges: dict[str, list[float]], rows: int, file: Path) -> Path:
    """Write a table of random points in the range of each feature; a million differ."""
    low, high = np.array(list(ranges.values())).T
    block = min(rows, _DISTINCT)
    text = io.BytesIO()
    np.savetxt(text, np.random.default_rng(5).uniform(low, high, (block, len(low))), "%.6f", ",")
    with file.open("wb") as out:
        out.write((",".join(ranges) + "\n").encode())
        for _ in range(rows // block):
            out.write(text.getbuffer())
    return file


def csv_file(rows: int) -> Path:
    """Return the path of a CSV table of points."""
    file = BUILD / f"points{rows}.csv"
    if not file.exists():
        np.savetxt(file, points(rows), "%.6f", ",", header="x1,x2,x3,x4", comments="")
    return file


def npy_file(rows: int) -> Path:
    """Return the path of a .npy array of points."""
    file = BUILD / f"points{rows}.npy"
    if not file.exists():
        np.save(file, points(rows))
    return file
