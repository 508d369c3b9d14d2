"""Convert values to float64; what is not a real number is refused, never converted by accident."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from os import PathLike
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray

_NO_NUMBERS = {
    "c": "are complex numbers; the model takes real ones, such as X.real",
    "M": "are dates; convert them to numbers first, such as days since a date",
    "m": "are durations; convert them to numbers first, such as seconds",
    "V": "are records without the features' names",
}
"""Arrays that NumPy may convert to float64, with another meaning: by the kind of their dtype."""

_DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)


def as_floats(values: Any, of: str = "the points") -> FloatArray:
    """Convert to an array of the same shape; masked values, None and pandas.NA become NaN.

    Parameters
    ----------
    values : numbers, in lists or arrays; numbers as text are read, too
    of : what they are, for messages

    Raises
    ------
    ValueError
        A value is not a real number, or lists differ in length.
    """
    if isinstance(values, Sequence) and any(map(np.ma.isMaskedArray, values)):
        values = np.ma.stack(values)
    array = _array(values, of)
    if array.dtype.kind in _NO_NUMBERS:
        raise ValueError(f"{of} {_NO_NUMBERS[array.dtype.kind]}")
    if array.dtype == object:
        array = _without_missing(array, of)
    try:
        floats = np.ma.filled(array.astype(np.float64), np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_numbers(values, of, error) from None
    return np.asarray(floats, order="C")


def refuse_text(points: Any) -> None:
    """Raise a `ValueError` for text, bytes and paths, which are sequences, but not of points."""
    if isinstance(points, str | bytes | bytearray | PathLike):
        shown = repr(points[:40] if isinstance(points, str | bytes | bytearray) else str(points))
        raise ValueError(
            f"the points are {shown}, not numbers; read a table first, as pandas.read_csv does"
        )


def held(points: Any) -> Any:
    """Return points that can be read more than once: lists for generators and other iterators.

    They may be the points, rows among them, or columns of a mapping.
    """
    if isinstance(points, Iterator | ValuesView):
        return [held(point) for point in points]
    if type(points) in (list, tuple) and any(isinstance(point, Iterator) for point in points):
        return [held(point) for point in points]
    if isinstance(points, Mapping) and any(isinstance(c, Iterator) for c in points.values()):
        return {name: held(column) for name, column in points.items()}
    return points


def _array(values: Any, of: str) -> Any:
    if np.ma.isMaskedArray(values):
        return values
    try:
        return np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError(f"{of} differ in length") from None
        raise


def _without_missing(array: Any, of: str) -> Any:
    """Return an array of objects with NaN for pandas.NA; refuse dates, which NumPy would count."""
    if np.ma.isMaskedArray(array):
        array = array.filled(np.nan)
    if _is_date(array).any():
        raise ValueError(f"{of} {_NO_NUMBERS['M']}")
    missing = np.asarray(_is_na(array), dtype=bool)
    return np.where(missing, np.nan, array) if missing.any() else array


def _no_numbers(values: Any, of: str, error: Exception) -> ValueError:
    if isinstance(error, ValueError):
        # NumPy 2 shows the type of text as well: np.str_('a')
        reason = str(error).replace("np.str_(", "").replace("np.bytes_(", "").removesuffix(")")
        return ValueError(reason if of == "the points" else f"{of}: {reason}")
    if isinstance(error, OverflowError):
        return ValueError(f"{of} have a number outside the range of float64")
    kind = type(values).__name__
    return ValueError(f"{of} are not numbers but {kind}: {error}")


# compares the name of the type, since pandas may not be installed
_is_na = np.frompyfunc(lambda value: type(value).__name__ == "NAType", 1, 1)


def _is_date(array: Any) -> Any:
    return np.asarray(np.frompyfunc(lambda value: isinstance(value, _DATES), 1, 1)(array), bool)
