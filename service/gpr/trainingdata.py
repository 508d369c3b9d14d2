"""Training options, training data as arrays, and what they must be like."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from service.gpr import kerneltext
from service.gpr.means import Basis
from service.gpr.scaling import constant_columns, deviation
from service.model import FloatArray

MIN_ROWS = 10
"""With fewer rows any scores are meaningless."""

EXACT_ROWS = 5000
"""With more rows inducing inputs are required: time grows as n³, memory as n²."""

LEAST_TRAINING_ROWS = 5

SMALLEST_SCALE = 1e-100
"""The smallest accepted standard deviation of the output; the largest is its reciprocal."""

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
    kernel: Annotated[
        str, Meta(description='sums and products by name, as in "Matern52 + White"')
    ] = "RBF"
    mean: Annotated[
        Basis,
        Meta(
            description="the value that predictions approach far from the data, estimated from them"
        ),
    ] = "none"
    noise: Annotated[
        str,
        Meta(
            description="auto: estimated; none, for simulators; or the noise variance as a share "
            "of the output's variance"
        ),
    ] = "auto"
    ard: Annotated[bool, Meta(description="one lengthscale per input")] = True
    inducing: Annotated[
        int, Meta(ge=0, le=5000, description="inducing inputs of a sparse GP; 0: an exact one")
    ] = 0
    restarts: Annotated[int, Meta(ge=1, le=100, description="starts of the optimiser")] = 3
    held_out: Annotated[
        float, Meta(ge=0.01, le=0.9, description="the share of rows used only for scoring")
    ] = 0.2
    held_out_only: Annotated[
        bool, Meta(description="serve the model that has not seen the rows used for scoring")
    ] = False
    name: Annotated[str, Meta(max_length=80, description="the model's name")] = ""
    categorical: Annotated[
        tuple[str, ...],
        Meta(description="columns of words, or of numbers that stand for kinds; one-hot encoded"),
    ] = ()
    leave_out: Annotated[tuple[str, ...], Meta(description="columns that are not used")] = ()
    drop_missing: Annotated[
        bool, Meta(description="leave out rows with a missing or unreadable cell")
    ] = False
    decimal: Annotated[
        Literal["auto", "point", "comma"],
        Meta(
            description="the decimal sign of a CSV table; auto: a comma where the delimiter is "
            "another sign and the columns show it"
        ),
    ] = "auto"
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


def option(name: str, value: str) -> str:
    """Return an option as requests and the command have it: ``mean=linear (--mean linear)``."""
    return f"{name}={value} (--{name.replace('_', '-')} {shlex.quote(value)})"


def held_out_rows(n: int, share: float) -> int:
    """Return how many of n rows are held out, of which there is at least one."""
    return max(1, round(n * share))


def noise_share(text: str) -> float | None:
    """Return the noise variance as a share of the output's, or None to estimate it.

    Raises `TrainingDataError`: it is neither auto, nor none, nor a number in (0, 1].
    """
    if text == "auto":
        return None
    try:
        share = 0.0 if text == "none" else float(text)
    except ValueError:
        share = math.nan
    if not (text == "none" or 0 < share <= 1):
        raise TrainingDataError(
            f"noise must be auto, none, or a share of the output's variance as 0.001, at most 1; "
            f"not {text[:40]!r}",
            option="noise",
        )
    return share


def check_table(table: TrainingData, options: TrainingOptions) -> None:
    """Raise a `TrainingDataError` for a table that cannot train a model, before it is divided."""
    known = len(table.y) - held_out_rows(len(table.y), options.held_out)
    noise = table.noise is not None
    check_trainable(table.X, table.feature_names, known, options, known_noise=noise)


def check_trainable(
    X: FloatArray,
    feature_names: Sequence[str],
    rows: int,
    options: TrainingOptions,
    *,
    known_noise: bool,
) -> None:
    """Raise a `TrainingDataError` for what would fail, or take too long, after the first restart.

    Parameters
    ----------
    X : shape (n, d), all inputs
    rows : how many of them train the model
    known_noise : whether the noise of each row is known
    """
    noise_share(options.noise)
    try:
        kerneltext.check(options.kernel, X.shape[1])
    except ValueError as error:
        raise TrainingDataError(str(error), option="kernel") from None
    if rows < LEAST_TRAINING_ROWS:
        few = f"{rows} of {len(X)} rows are left to train on; at least {LEAST_TRAINING_ROWS} are "
        fewer = option("held_out", "0.2")
        raise TrainingDataError(f"{few}required: hold fewer out, {fewer}", option="held_out")
    if options.inducing and known_noise:
        raise TrainingDataError(
            "a sparse GP cannot have known noise: leave out `noise_column` (--noise-column) or "
            "`inducing` (--inducing)",
            option="noise_column",
        )
    if options.inducing and options.noise == "none":
        raise TrainingDataError(
            "a sparse GP needs noise, which stands for what its inducing inputs cannot express: "
            f"use {option('noise', 'auto')}, or leave out `inducing` (--inducing)",
            option="noise",
        )
    if options.inducing and options.mean != "none":
        raise TrainingDataError(
            f"a sparse GP has no estimated mean: leave out {option('mean', options.mean)} or "
            "`inducing` (--inducing)",
            option="mean",
        )
    if not options.inducing and rows > EXACT_ROWS:
        raise TrainingDataError(
            f"{rows} rows are too many for an exact GP (at most {EXACT_ROWS}): use inducing "
            f"inputs, for instance {option('inducing', '200')}",
            option="inducing",
        )
    if len(constant := constant_columns(X)) and constant.all():
        raise TrainingDataError(
            f"every input is constant, as {feature_names[0]!r}: there is nothing to learn from",
            feature=feature_names[0],
        )


def check_outputs(X: FloatArray, y: FloatArray, options: TrainingOptions) -> None:
    """Raise a `TrainingDataError` for rows that no GP can fit with these options.

    Parameters
    ----------
    X, y : shapes (n, d) and (n,), the rows that train the model
    """
    if constant_columns(y[:, None]).all():
        raise TrainingDataError(
            f"the output is {y[0]:g} in all {len(y)} rows that train the model: there is nothing "
            f"to learn; hold fewer rows out, as {option('held_out', '0.1')}, or choose another "
            "target",
            option="target",
        )
    scale = float(deviation(y))
    if not SMALLEST_SCALE < scale < 1 / SMALLEST_SCALE:
        raise TrainingDataError(
            f"the output's standard deviation is {scale:.1g}, so that its variance is beyond "
            "double precision: use another unit",
            option="target",
        )
    if options.noise != "none":
        return
    order = np.lexsort(X.T)
    same = (np.diff(X[order], axis=0) == 0).all(axis=1) & (np.diff(y[order]) != 0)
    if same.any():
        first = int(np.flatnonzero(same)[0])
        one, other = y[order[first]], y[order[first + 1]]
        inputs = ", ".join(f"{x:g}" for x in X[order[first]])
        raise TrainingDataError(
            f"two rows have the same inputs ({inputs}) but the outputs {one:g} and {other:g}, "
            f"which no function without noise has: use {option('noise', 'auto')}",
            option="noise",
        )
