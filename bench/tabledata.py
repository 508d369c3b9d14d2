"""The large files that are uploaded, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.places import BUILD


def points(rows: int) -> np.ndarray:
    """Points in the training range, shape (rows, 4)."""
    return np.random.default_rng(5).random((rows, 4)).round(6)


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
