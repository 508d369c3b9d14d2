"""Values as callers hold them, as numbers; what is missing is NaN, which the service refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray


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
