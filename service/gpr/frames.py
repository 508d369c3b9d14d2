"""Points as a notebook holds them: lists, arrays of any type, and data frames, which have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.model import FloatArray


def as_points(X: Any, names: Sequence[str]) -> FloatArray:
    """Return an array of points; a data frame's columns are found by name, in any order.

    Parameters
    ----------
    X : shape (n, d), or a data frame (pandas, polars) that may have more columns
    names : the d feature names

    Raises `ValueError`: a column is missing, or a value is not a number.
    """
    columns = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
    if columns:
        missing = [name for name in names if columns.count(name) != 1]
        if missing:
            raise ValueError(
                f"X needs one column for each feature; {', '.join(missing)} is missing or repeated "
                f"among {', '.join(columns)}"
            )
        X = X[list(names)]
    try:
        array = np.asarray(X)
        if array.dtype.kind in "cMm":  # NumPy would make numbers of them, with another meaning
            raise ValueError(f"dtype {array.dtype}")
        return np.asarray(array, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X is not an array of numbers: {error}; a category has its code, which is the index "
            "of the word in description.categories"
        ) from None
