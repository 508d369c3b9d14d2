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

from gpserve_client._numbers import as_floats, refuse_text
from gpserve_client._words import Categories, codes_of, refuse_wrong_codes
from gpserve_client.answers import FloatArray


def as_array(points: Any, names: Sequence[str], categories: Categories | None = None) -> FloatArray:
    """Convert points to an array of shape (..., d), with codes for the words of categories.

    Parameters
    ----------
    points : see `Client.predict`
    names : the d feature names
    categories : the words of each categorical feature

    Raises
    ------
    ValueError
        There are no points, a feature is missing or duplicated, columns differ in length, the
        length of the last axis is not d, or a value is not a number or a word of its feature.
    """
    refuse_text(points)
    categories = categories or {}
    columns = _columns_by_name(points, names)
    if columns is not None:
        return _stack(columns, names, categories)
    if isinstance(points, Sequence) and points and _columns_by_name(points[0], names) is not None:
        return np.stack([as_array(point, names, categories) for point in points])
    X = _coded(points, names, categories) if categories else as_floats(points)
    _refuse_other_shape(X.shape, names)
    return X


def _coded(points: Any, names: Sequence[str], categories: Categories) -> FloatArray:
    """Convert points in the order of the features; an array of numbers has codes already."""
    if isinstance(points, np.ndarray) and points.dtype.kind in "biuf":
        X = as_floats(points)
        _refuse_other_shape(X.shape, names)
        refuse_wrong_codes(X, names, categories)
        return X
    cells = np.array(points, dtype=object)
    _refuse_other_shape(cells.shape, names)
    for name, words in categories.items():
        column = names.index(name)
        cells[..., column] = codes_of(cells[..., column], name, words)
    return as_floats(cells)


def _refuse_other_shape(shape: tuple[int, ...], names: Sequence[str]) -> None:
    if shape == (0,):
        raise ValueError("there are no points")
    if not shape or shape[-1] != len(names):
        raise ValueError(
            f"the points have shape {shape}; their last axis must hold the {len(names)} "
            f"features {', '.join(names)}"
        )


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


def _stack(columns: Mapping[str, Any], names: Sequence[str], categories: Categories) -> FloatArray:
    """Stack columns of shape (...) and single values to points of shape (..., d)."""
    arrays = {
        name: codes_of(columns[name], name, categories[name])
        if name in categories
        else as_floats(columns[name], f"the values of {name}")
        for name in names
    }
    shapes = {array.shape for array in arrays.values() if array.ndim}
    if len(shapes) > 1:
        lengths = ", ".join(
            f"{name} {len(array) if array.ndim == 1 else array.shape}"
            for name, array in arrays.items()
            if array.ndim
        )
        raise ValueError(f"the columns differ in length: {lengths}")
    return np.stack(np.broadcast_arrays(*arrays.values()), axis=-1)


def _columns_as_csv(columns: Mapping[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()
