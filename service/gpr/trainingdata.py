"""Training options, and training data read from CSV."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from service.gpr.kernels import SUPPORTED, TERMS
from service.model import FloatArray

MIN_ROWS = 20
"""With fewer rows the scores on a held-out fifth are meaningless."""

EXACT_ROWS = 5000
"""With more rows inducing inputs are required: time grows as n³, memory as n²."""

MAX_REASONS = 10

Progress = Callable[[int], object]
"""Called with the number of finished restarts."""


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train a model, on the command line and in ``POST /train``."""

    target: Annotated[str, Meta(description="the column of the output; default: the last")] = ""
    features: Annotated[
        tuple[str, ...], Meta(description="the columns of the inputs; default: all others")
    ] = ()
    kernel: Annotated[str, Meta(description='a sum by name, as in "Matern52 + White"')] = "RBF"
    ard: Annotated[bool, Meta(description="one lengthscale per input")] = True
    inducing: Annotated[
        int, Meta(ge=0, le=5000, description="inducing inputs of a sparse GP; 0: an exact one")
    ] = 0
    restarts: Annotated[int, Meta(ge=1, le=100, description="starts of the optimiser")] = 3
    held_out: Annotated[
        float, Meta(ge=0.01, le=0.9, description="the share of rows used only for scoring")
    ] = 0.2
    name: Annotated[str, Meta(max_length=80, description="the model's name")] = ""


class TrainingDataError(ValueError):
    """The data cannot train a model.

    Attributes
    ----------
    where : members that locate the error: ``line``, ``feature`` or ``option``
    """

    def __init__(self, detail: str, **where: Any) -> None:
        super().__init__(detail)
        self.where = where


@dataclass(frozen=True, eq=False)
class TrainingData:
    """X, shape (n, d), y, shape (n,), their names, and the SHA-256 of the file."""

    X: FloatArray
    y: FloatArray
    feature_names: tuple[str, ...]
    output_name: str
    sha256: str


def read_training_data(
    data: bytes, label: str, target: str = "", features: Sequence[str] = ()
) -> TrainingData:
    """Read a CSV with a header.

    Parameters
    ----------
    data : the file's content
    label : the file's name in error messages
    target : the column of the output; default: the last
    features : the columns of the inputs; default: all but the target

    Raises `TrainingDataError`: a column is missing, a cell is not a finite number, there are too
    few rows, or the output is constant.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise TrainingDataError(f"{label} is not UTF-8 text (byte {error.start})") from error
    reader = csv.reader(lines, strict=True)
    header = [name.strip() for name in next(reader, [])]
    target = target or (header[-1] if header else "")
    names = tuple(features) or tuple(name for name in header if name != target)
    rows = _numbers(reader, header, _columns(header, (*names, target)))
    if len(rows) < MIN_ROWS:
        raise TrainingDataError(f"too few rows: {len(rows)}; at least {MIN_ROWS} are required")
    values = np.array(rows)
    y = np.ascontiguousarray(values[:, -1])
    if np.ptp(y) == 0:
        raise TrainingDataError(f"the output {target!r} is constant ({y[0]:g}): nothing to learn")
    X = np.ascontiguousarray(values[:, :-1])
    return TrainingData(X, y, names, target, hashlib.sha256(data).hexdigest())


def _columns(header: list[str], names: Sequence[str]) -> list[int]:
    if len(names) < 2:
        raise TrainingDataError("line 1: there is no input column besides the target", line=1)
    for name in names:
        if header.count(name) != 1:
            how = "is missing" if name not in header else "appears twice"
            detail = f"line 1: column {name!r} {how}; columns: {', '.join(header)}"
            raise TrainingDataError(detail, line=1)
        if names.count(name) > 1:
            raise TrainingDataError(f"{name!r} is named twice among the inputs and the target")
    return [header.index(name) for name in names]


def _numbers(reader: Any, header: list[str], columns: list[int]) -> list[list[float]]:
    rows: list[list[float]] = []
    reasons: list[tuple[int, str]] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                reasons.append((reader.line_num, f"{len(cells)} cells, not {len(header)}"))
            else:
                row, found = _row(cells, header, columns)
                rows.append(row)
                reasons += [(reader.line_num, reason) for reason in found]
    except csv.Error as error:
        reasons.append((reader.line_num, str(error)))
    if reasons:
        shown = [f"line {line}: {reason}" for line, reason in reasons[:MAX_REASONS]]
        more = len(reasons) - MAX_REASONS
        shown += [f"and {more} more"] if more > 0 else []
        raise TrainingDataError("; ".join(shown), line=reasons[0][0])
    return rows


def _row(cells: list[str], header: list[str], columns: list[int]) -> tuple[list[float], list[str]]:
    row: list[float] = []
    reasons: list[str] = []
    for column in columns:
        try:
            number = float(cells[column])
        except ValueError:
            reasons.append(f"{header[column]} is not a number: {cells[column]!r}")
            continue
        if not math.isfinite(number):
            reasons.append(f"{header[column]} is not finite: {cells[column]!r}")
        row.append(number)
    return row, reasons


def check_trainable(
    X: FloatArray, feature_names: Sequence[str], rows: int, options: TrainingOptions
) -> None:
    """Raise a `TrainingDataError` for what would fail, or take too long, after the first restart.

    Parameters
    ----------
    X : shape (n, d), all inputs
    rows : how many of them train the model
    """
    named = map(str.strip, re.split(r"[+*]", options.kernel))
    unknown = [name for name in named if name not in TERMS]
    if unknown:
        detail = f"unknown kernel {unknown[0][:40]!r}; supported: {SUPPORTED}"
        raise TrainingDataError(detail, option="kernel")
    constant = np.flatnonzero(np.ptp(X, axis=0) == 0)
    if constant.size:
        name = feature_names[int(constant[0])]
        raise TrainingDataError(f"the input {name!r} is constant: leave it out", feature=name)
    if not options.inducing and rows > EXACT_ROWS:
        raise TrainingDataError(
            f"{rows} rows are too many for an exact GP (at most {EXACT_ROWS}): use inducing "
            "inputs, for instance inducing=200 (--inducing 200)",
            option="inducing",
        )
