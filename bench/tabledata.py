"""The large files that are uploaded, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.places import BUILD

_PIECE = 100_000


def points(rows: int) -> np.ndarray:
    """Points in the training range, shape (rows, 4)."""
    return np.random.default_rng(5).random((rows, 4)).round(6)


def table_within(ranges: dict[str, list[float]], rows: int, file: Path) -> Path:
    """A table of random points within the range of each feature, written to `file`."""
    low, high = np.array(list(ranges.values())).T
    rng = np.random.default_rng(5)
    with file.open("w") as out:
        out.write(",".join(ranges) + "\n")
        for start in range(0, rows, _PIECE):
            X = rng.uniform(low, high, (min(_PIECE, rows - start), len(low)))
            np.savetxt(out, X, "%.6f", ",")
    return file


def csv_file(rows: int) -> Path:
    """A table with a header."""
    file = BUILD / f"points{rows}.csv"
    if not file.exists():
        np.savetxt(file, points(rows), "%.6f", ",", header="x1,x2,x3,x4", comments="")
    return file


def npy_file(rows: int) -> Path:
    """An array."""
    file = BUILD / f"points{rows}.npy"
    if not file.exists():
        np.save(file, points(rows))
    return file
