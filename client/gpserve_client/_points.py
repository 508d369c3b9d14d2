"""Convert what callers hold: points to arrays, training data to CSV."""

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
    """Convert points to an array of shape (..., d).

    Parameters
    ----------
    points : see `Client.predict`
    names : the d feature names

    Raises
    ------
    ValueError
        There are no points, a feature is missing or duplicated, columns differ in length, the
        length of the last axis is not d, or a value is not a number.
    """
    columns = _columns_by_name(points, names)
    if columns is not None:
        return _stack(columns, names)
    if isinstance(points, Sequence) and points and _columns_by_name(points[0], names) is not None:
        return np.stack([as_array(point, names) for point in points])
    X = _as_floats(points)
    if X.shape == (0,):
        raise ValueError("there are no points")
    if X.ndim == 0 or X.shape[-1] != len(names):
        raise ValueError(
            f"the points have shape {X.shape}; their last axis must hold the {len(names)} "
            f"features {', '.join(names)}"
        )
    return X


def as_csv(data: Any) -> bytes:
    """Convert training data to CSV; the content of a file is returned as it is, gzipped or not.

    Parameters
    ----------
    data : the path of a CSV file, a data frame (pandas, polars) or a mapping of columns

    Raises
    ------
    TypeError
        `data` is none of these.
    """
    if isinstance(data, str | PathLike):
        return Path(data).read_bytes()
    if isinstance(data, Mapping):
        return _columns_as_csv(data)
    if hasattr(data, "to_csv"):
        return str(data.to_csv(index=False)).encode()
    if hasattr(data, "write_csv"):
        return str(data.write_csv()).encode()
    raise TypeError(f"training data must be a path, a data frame or columns, not {type(data)}")


def _columns_by_name(points: Any, names: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the columns of one point or many by feature name; None if the points have no names.

    Raises
    ------
    ValueError
        The points have names, but a feature is missing or duplicated.
    """
    if _is_named_tuple(points):
        fields = points._asdict()
        return fields if set(names) <= set(fields) else None
    found = _names_of(points)
    if found is None:
        return None
    _refuse_missing_features(found, names)
    return points if isinstance(points, Mapping) else {name: points[name] for name in names}


def _is_named_tuple(points: Any) -> bool:
    return isinstance(points, tuple) and hasattr(points, "_asdict")


def _names_of(points: Any) -> list[Any] | None:
    if isinstance(points, Mapping):
        return list(points)
    if isinstance(points, np.ndarray | np.void):
        return None if points.dtype.names is None else list(points.dtype.names)
    # column_names first: the `columns` of a pyarrow table are values, not names
    for attribute in ("column_names", "columns"):
        if hasattr(points, attribute):
            return list(getattr(points, attribute))
    if hasattr(points, "index") and hasattr(points, "to_dict"):  # a pandas Series
        labels = list(points.index)
        return labels if all(isinstance(label, str) for label in labels) else None
    return None


def _refuse_missing_features(found: Iterable[Any], names: Sequence[str]) -> None:
    count = Counter(found)
    if missing := [name for name in names if not count[name]]:
        listed = ", ".join(map(str, count))
        raise ValueError(f"missing features: {', '.join(missing)} (found: {listed})")
    if duplicated := [name for name in names if count[name] > 1]:
        raise ValueError(f"duplicate features: {', '.join(duplicated)}")


def _stack(columns: Mapping[str, Any], names: Sequence[str]) -> FloatArray:
    """Stack columns of shape (...) and single numbers to points of shape (..., d)."""
    arrays = {name: _as_floats(columns[name]) for name in names}
    shapes = {array.shape for array in arrays.values() if array.ndim}
    if len(shapes) > 1:
        lengths = ", ".join(
            f"{name} {len(array) if array.ndim == 1 else array.shape}"
            for name, array in arrays.items()
            if array.ndim
        )
        raise ValueError(f"the columns differ in length: {lengths}")
    return np.stack(np.broadcast_arrays(*arrays.values()), axis=-1)


def _as_floats(values: Any) -> FloatArray:
    """Convert to an array of the same shape; masked values and pandas.NA become NaN.

    Raises
    ------
    TypeError, ValueError
        A value is not a number, or the lists differ in length.
    """
    if isinstance(values, Sequence) and any(map(np.ma.isMaskedArray, values)):
        values = np.ma.stack(values)
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        return np.asarray(values, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        objects = np.array(values, dtype=object)
        missing = np.asarray(_is_na(objects), dtype=bool)
        if not missing.any():
            raise
        objects[missing] = np.nan
        return np.asarray(objects, dtype=np.float64, order="C")


# compares the name of the type, since pandas may not be installed
_is_na = np.frompyfunc(lambda value: type(value).__name__ == "NAType", 1, 1)


def _columns_as_csv(columns: Mapping[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()
