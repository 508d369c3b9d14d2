"""Points as callers hold them: lists, arrays, data frames, columns by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray
from gpserve_client.named import by_name, stacked
from gpserve_client.numbers import as_numbers


def as_array(points: Any, names: Sequence[str]) -> FloatArray:
    """Points as an array of shape (..., d).

    Parameters
    ----------
    points : numbers in lists or arrays of shape (..., d); a data frame (pandas, polars), a table
        of pyarrow, a structured array or a mapping with the features' columns, in any order and
        beside others, where a number alone stands for all points; one row of a pandas data frame;
        a named tuple; a list of mappings or of such rows or tuples
    names : the d feature names

    Raises
    ------
    ValueError
        A feature is missing or there twice, columns differ in length, the last axis has another
        length than d, or there are no points.
    """
    columns = by_name(points, names)
    if columns is not None:
        return stacked(columns, names)
    if isinstance(points, Sequence) and points and by_name(points[0], names) is not None:
        return np.stack([as_array(point, names) for point in points])
    X = as_numbers(points)
    if X.shape == (0,):
        raise ValueError("there are no points")
    if X.ndim == 0 or X.shape[-1] != len(names):
        raise ValueError(
            f"the points have shape {X.shape}; their last axis must hold the {len(names)} "
            f"features {', '.join(names)}"
        )
    return X
