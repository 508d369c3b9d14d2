"""Training data as callers hold it, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any


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
