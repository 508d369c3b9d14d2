"""Points that carry the names of their features, whatever holds them, as columns by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray
from gpserve_client.numbers import as_numbers


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
