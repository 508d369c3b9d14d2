"""Training options, training data as arrays, and what they must be like."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from service.gpr.kernels import SUPPORTED, TERMS
from service.model import FloatArray

MIN_ROWS = 10
"""With fewer rows any scores are meaningless."""

EXACT_ROWS = 5000
"""With more rows inducing inputs are required: time grows as n³, memory as n²."""

MAX_CATEGORIES = 50
"""A column with more words is a name or an address; each word is an input of the kernel."""

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
    categorical: Annotated[
        tuple[str, ...],
        Meta(description="columns of words, or of numbers that stand for kinds; one-hot encoded"),
    ] = ()
    leave_out: Annotated[tuple[str, ...], Meta(description="columns that are not used")] = ()
    drop_missing: Annotated[
        bool, Meta(description="leave out rows with a missing or unreadable cell")
    ] = False
    noise_column: Annotated[
        str, Meta(description="a column with the known noise variance of each row; no input")
    ] = ""


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
    """The rows of a table that train a model.

    Attributes
    ----------
    X : shape (n, d), with the code of its word where a feature is categorical
    y : shape (n,)
    sha256 : of the file
    categories : the words of each categorical feature, by its column in X; a code is an index
    noise : the known noise variance of each row, shape (n,), in the output's units squared
    dropped : how many rows were left out because of missing or unreadable cells
    """

    X: FloatArray
    y: FloatArray
    feature_names: tuple[str, ...]
    output_name: str
    sha256: str
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    noise: FloatArray | None = None
    dropped: int = 0


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
