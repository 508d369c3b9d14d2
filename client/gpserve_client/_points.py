"""Points as callers hold them: lists, arrays, data frames, columns by name."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray


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


def by_name(points: Any, names: Sequence[str]) -> Mapping[str, Any] | None:
    """The columns of the features by name, of one point or many; None when there are no names.

    Raises
    ------
    ValueError
        There are names, but a feature is missing or there twice.
    """
    if _is_named_tuple(points):
        fields = points._asdict()
        return fields if set(names) <= set(fields) else None
    given = _names_of(points)
    if given is None:
        return None
    _refuse_missing(given, names)
    return points if isinstance(points, Mapping) else {name: points[name] for name in names}


def stacked(columns: Mapping[str, Any], names: Sequence[str]) -> FloatArray:
    """Columns of shape (...) and lone numbers as points of shape (..., d).

    Raises
    ------
    ValueError
        The columns differ in their shapes.
    """
    arrays = {name: as_numbers(columns[name]) for name in names}
    shapes = {array.shape for array in arrays.values() if array.ndim}
    if len(shapes) > 1:
        told = ", ".join(f"{name} {_length(array)}" for name, array in arrays.items() if array.ndim)
        raise ValueError(f"the columns differ in length: {told}")
    return np.stack(np.broadcast_arrays(*arrays.values()), axis=-1)


def _length(array: FloatArray) -> str:
    return str(len(array) if array.ndim == 1 else array.shape)


def _is_named_tuple(points: Any) -> bool:
    return isinstance(points, tuple) and hasattr(points, "_asdict")


def _names_of(points: Any) -> list[Any] | None:
    if isinstance(points, Mapping):
        return list(points)
    if isinstance(points, np.ndarray | np.void):
        return None if points.dtype.names is None else list(points.dtype.names)
    # of a pyarrow table `columns` are the values
    for attribute in ("column_names", "columns"):
        if hasattr(points, attribute):
            return list(getattr(points, attribute))
    if hasattr(points, "index") and hasattr(points, "to_dict"):  # a pandas Series
        labels = list(points.index)
        return labels if all(isinstance(label, str) for label in labels) else None
    return None


def _refuse_missing(have: Iterable[Any], names: Sequence[str]) -> None:
    count = Counter(have)
    missing = [name for name in names if not count[name]]
    if missing:
        listed = ", ".join(map(str, count))
        raise ValueError(f"the points lack {', '.join(missing)}; they have {listed}")
    if twice := [name for name in names if count[name] > 1]:
        raise ValueError(f"the points have {', '.join(twice)} more than once")


def as_numbers(values: Any) -> FloatArray:
    """An array of the same shape; values that are masked or pandas' NA are NaN.

    Raises
    ------
    TypeError, ValueError
        Some value is no number, or the lists are not equally long.
    """
    if isinstance(values, Sequence) and any(map(np.ma.isMaskedArray, values)):
        values = np.ma.stack(values)
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        return np.asarray(values, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        held = np.array(values, dtype=object)
        missing = np.asarray(_is_na(held), dtype=bool)
        if not missing.any():
            raise
        held[missing] = np.nan
        return np.asarray(held, dtype=np.float64, order="C")


# by its name: pandas need not be there
_is_na = np.frompyfunc(lambda value: type(value).__name__ == "NAType", 1, 1)


def as_csv(data: Any) -> bytes:
    """A CSV file's path, a data frame (pandas, polars) or a mapping of columns, as CSV.

    A file that is gzipped stays so.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if isinstance(data, str | PathLike):
        return Path(data).read_bytes()
    if isinstance(data, Mapping):
        return _columns(data)
    if hasattr(data, "to_csv"):
        return str(data.to_csv(index=False)).encode()
    if hasattr(data, "write_csv"):
        return str(data.write_csv()).encode()
    raise TypeError(f"training data must be a path, a data frame or columns, not {type(data)}")


def _columns(data: Mapping[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(data)
    writer.writerows(zip(*data.values(), strict=True))
    return out.getvalue().encode()
