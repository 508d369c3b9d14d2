"""Points as callers hold them: lists, arrays, data frames, columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray


def as_array(points: Any, names: Sequence[str]) -> FloatArray:
    """Points as an array of shape (..., d).

    Parameters
    ----------
    points : numbers in lists or arrays of shape (..., d); a data frame (pandas, polars) or a
        mapping with the features' columns, in any order and beside others; one row of a pandas
        data frame; a list of mappings or of such rows
    names : the d feature names

    Raises
    ------
    ValueError
        A feature is missing, or the last axis has another length than d.
    """
    points = _by_name(points)
    if isinstance(points, Mapping):
        _refuse_missing(points, names)
        return np.stack([_numbers(points[name]) for name in names], axis=-1)
    if hasattr(points, "columns"):
        _refuse_missing(points.columns, names)
        return _numbers(points[list(names)])
    if isinstance(points, Sequence) and points and isinstance(_by_name(points[0]), Mapping):
        return np.stack([as_array(point, names) for point in points])
    X = _numbers(points)
    if X.ndim == 0 or X.shape[-1] != len(names):
        raise ValueError(
            f"the points have shape {X.shape}; their last axis must hold the {len(names)} "
            f"features {', '.join(names)}"
        )
    return X


def _by_name(points: Any) -> Any:
    """A pandas Series whose labels are names as a mapping; anything else as it is."""
    if hasattr(points, "columns") or not (hasattr(points, "index") and hasattr(points, "to_dict")):
        return points
    return points.to_dict() if all(isinstance(label, str) for label in points.index) else points


def _numbers(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64, order="C")


def _refuse_missing(given: Any, names: Sequence[str]) -> None:
    have = list(given)
    missing = [name for name in names if name not in have]
    if missing:
        listed = ", ".join(map(str, have))
        raise ValueError(f"the points lack {', '.join(missing)}; they have {listed}")
