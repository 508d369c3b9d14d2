"""The interface between the service and a model: implement it to serve another one."""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class ModelFileError(ValueError):
    """A model file cannot be served; the message names the faulty array or field."""


class Unsupported(NotImplementedError):
    """The model does not support this option (a gradient, a covariance, samples, ...)."""


@dataclass(frozen=True)
class Description:
    """What ``GET /model`` returns about a model.

    Attributes
    ----------
    name : the model's name, also in the v2 and UM-Bridge protocols
    version : `version_of` the model's file; the service sets it when it serves the file,
        whatever the model's class has set
    feature_names : one for each of the d inputs, in the order of X's columns
    training_range : shape (d, 2), the smallest and largest training value of each input
    hyperparameters, scores : plain numbers, strings and lists, ready for JSON
    created : ISO 8601 date and time, UTC
    categories : the words of each categorical feature, at least two. In X such a feature holds the
        code of a word, which is its index; callers send the word
    """

    name: str
    version: str
    kernel: str
    feature_names: tuple[str, ...]
    output_name: str
    training_points: int
    training_range: FloatArray
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def points_across(self, count: int) -> FloatArray:
        """Return points from the low end of the training range to the high one, shape (count, d).

        A categorical feature gets whole codes, as any point needs that the model is asked for.
        """
        low, high = self.training_range.T
        X: FloatArray = np.linspace(low, high, count)
        for name in self.categories:
            column = self.feature_names.index(name)
            X[:, column] = np.floor(X[:, column])
        return X

    def as_json(self) -> dict[str, Any]:
        """Return the members of ``GET /model``."""
        low_high = self.training_range.tolist()
        members = {name: getattr(self, name) for name in self.__dataclass_fields__}
        members["training_range"] = dict(zip(self.feature_names, low_high, strict=True))
        return members


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What a model predicts for rows that it has not seen, beside what was observed there.

    Attributes
    ----------
    method : "leave_one_out" when each training row is predicted from all others, "held_out" when
        the rows were not used for training
    rows : shape (n,), the position of each row among the training rows or the held-out rows, from 0
    X : shape (n, d), their inputs in raw units; (n, 0) when they are not known
    observed : shape (n,)
    answers : shape (n, 2), mean and variance, with noise
    relevance : shape (d,), how often the lengthscale of an input fits into its training range
    scores : as in `Description`
    """

    method: Literal["leave_one_out", "held_out"]
    rows: NDArray[np.int64]
    X: FloatArray
    observed: FloatArray
    answers: FloatArray
    relevance: FloatArray
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def residuals(self) -> FloatArray:
        """``(observed - mean) / deviation``, shape (n,): standard normal for a model that is right.

        Rasmussen & Williams, section 2.5.
        """
        standardised: FloatArray = (self.observed - self.answers[:, 0]) / np.sqrt(
            self.answers[:, 1]
        )
        return standardised

    def worst(self, count: int) -> NDArray[np.int64]:
        """Return the positions of the `count` largest residuals, the largest first."""
        return np.argsort(-np.abs(self.residuals), kind="stable")[:count]


class Model(ABC):
    """A trained model of one output over d inputs, with an uncertainty.

    A subclass implements the five abstract members and sets `description` once it is trained.
    Methods that raise `Unsupported` here are optional.
    All arrays are float64, C-contiguous, in raw units; `X` has shape (n, d).
    """

    description: Description

    arithmetic: str = ""
    """What computes, in a few words, for `GET /model` and the log."""

    large_tile: int = 256
    """Rows from which an array is worth dividing among CPUs, in parts of no fewer."""

    exact_draws: int = 1000
    """Points up to which draws are made of their joint covariance."""

    draw_size: int = 0
    """Numbers that make one pathwise draw, at however few points: the service limits them."""

    @property
    @abstractmethod
    def trained(self) -> bool:
        """Whether `predict` can be called."""

    @abstractmethod
    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        """Train on X, shape (n, d), and y, shape (n,)."""

    @abstractmethod
    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return mean and variance at X, shape (n, 2); with `noise`, that of an observation.

        A row's bits should depend on its values alone: not on the other rows, and not on how many
        they are. The service batches points that wait together, and divides large arrays.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the model to one file."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises `ModelFileError`: the file is truncated, inconsistent, or does not reproduce its
        reference points.
        """

    def gradient(self, X: FloatArray) -> FloatArray:
        """Return the derivatives of mean and variance by the inputs, shape (n, 2, d)."""
        raise Unsupported(f"{type(self).__name__} has no gradient")

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of mean and variance, shape (n, 2, d, d)."""
        raise Unsupported(f"{type(self).__name__} has no Hessian")

    def covariance(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        """Return the joint covariance of the n answers, shape (n, n)."""
        raise Unsupported(f"{type(self).__name__} has no joint covariance")

    def samples(
        self, X: FloatArray, count: int, seed: int, *, pathwise: bool = False
    ) -> FloatArray:
        """Return joint draws of the latent function, shape (count, n), determined by `seed` and X.

        With `pathwise`, draw i is one function of x, so that it does not depend on how X is cut;
        it may then be approximate. The service asks for it when X is only a part of the points, or
        has more than `exact_draws`.
        """
        raise Unsupported(f"{type(self).__name__} has no samples")

    def diagnostics(self) -> Diagnostics:
        """Return what the model predicts for rows that it has not seen."""
        raise Unsupported(f"{type(self).__name__} has no diagnostics")


def ratio_by_chance(n: float, m: float) -> float:
    """Return by what factor root mean squared errors on n and on m rows may differ by chance.

    It is three standard errors. The logarithm of the mean of n squared normal errors has a variance
    of 2/n.
    """
    return math.exp(1.5 * math.sqrt(2 / n + 2 / m))


def check_model_name(name: str) -> None:
    """Raise an error for a model name that cannot be part of a path.

    Raises `ValueError`: it has a control character, or a part between slashes that clients resolve
    as a folder.
    """
    if not all(map(str.isprintable, name)):
        raise ValueError(f"the model's name {name!r} has a character that cannot be printed")
    if {".", ".."} & set(name.split("/")):
        raise ValueError(f"the model's name {name!r} would be read as a folder in a path")


OPTIONS = (
    "points",
    "noise",
    "interval",
    "gradient",
    "covariance",
    "samples",
    "seed",
    "pathwise",
    "on_bad_row",
    "columns",
    "decimal",
)
ANSWERS = ("mean", "variance", "lower", "upper", "extrapolated")
RESERVED = frozenset((*OPTIONS, "file", *ANSWERS))
"""Words that requests and answers use themselves."""


def check_feature_names(names: Sequence[str], count: int) -> None:
    """Raise an error for feature names that cannot be used in requests.

    Raises `ValueError`: there are not `count` names, or one is empty, repeated, or reserved.
    """
    if len(names) != count:
        raise ValueError(f"{len(names)} feature names for {count} inputs")
    for position, name in enumerate(names, start=1):
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise ValueError(f"feature name {position} is empty or has outer blanks: {name!r}")
        if name in RESERVED:
            raise ValueError(f"feature name {name!r} is reserved; choose another")
        if name in names[: position - 1]:
            raise ValueError(f"feature name {name!r} is given twice")


def version_of(file: BufferedIOBase) -> str:
    """Return the version of a model file: the first 12 hex digits of its SHA-256."""
    return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def write_file(path: Path, pieces: Iterable[bytes], mode: int = 0o666) -> int:
    """Write a file and return its size; a reader sees the old file or the new one, never a part.

    It is on the disk when this returns, and survives a power cut. A link stays one, to the new
    file. A pipe or a device, which cannot be replaced, is written piece by piece.

    Parameters
    ----------
    mode : the permissions of a new file, less the process's umask; one that is replaced keeps its
    """
    if is_stream(path):
        with path.open("wb") as stream:
            return sum(map(stream.write, pieces))
    path = Path(os.path.realpath(path))
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    size = 0
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            if path.exists():
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            for piece in pieces:
                size += out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size


def is_stream(path: Path) -> bool:
    """Whether a path is that of a pipe or a device, which holds no content to keep."""
    return path.exists() and not (path.is_file() or path.is_dir())


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_npy_safely(read: Callable[[], T]) -> T:
    """Return the result of `read`, calling it again when CPython's parser miscounts its depth.

    NumPy parses each array's header as Python. Before CPython 3.11.8 a thread that was interrupted
    while another one parsed may get a `SystemError` (gh-106905). A lock does not help: the other
    thread may belong to a library that does not know the lock.
    """
    for _ in range(9):
        with suppress(SystemError):
            return read()
    return read()
