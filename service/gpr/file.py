"""Model files: plain arrays in an .npz, checked when they are read. Never a pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib import format as arrayformat

from service.gpr.kernels import FORMS, Bias, Kernel, Stationary, Term, White
from service.gpr.posterior import Posterior
from service.model import FloatArray, ModelFileError, check_feature_names, read_npy_safely

FORMAT = 1
TOLERANCE = 1e-8
ROUNDING = 1e-14

TEXTS = ("name", "output_name", "gpy_version", "data_sha256", "created")
NUMBERS = ("noise_variance", "output_offset", "output_scale")
SHAPES: dict[str, tuple[str, ...]] = {
    "input_offset": ("d",),
    "input_scale": ("d",),
    "X": ("N", "d"),
    "alpha": ("N",),
    "factor": ("N(N+1)/2",),
    "training_range": ("d", "2"),
    "reference_X": ("p", "d"),
    "reference_answers": ("p", "2"),
}
"""The float arrays and their shapes; the array `sizes` holds d, N and p."""


def encode(posterior: Posterior) -> bytes:
    """Return the bytes of the model file; the same posterior gives the same bytes.

    Raises `ValueError`: a feature name cannot be used in requests.
    """
    check_feature_names(posterior.feature_names, posterior.X.shape[1])
    sizes = (*posterior.X.shape[::-1], len(posterior.reference_X))
    arrays: dict[str, Any] = {"format": FORMAT, "sizes": np.array(sizes)}
    arrays |= {key: getattr(posterior, key) for key in (*TEXTS, *NUMBERS, *SHAPES)}
    arrays["feature_names"] = np.array(posterior.feature_names)
    arrays["inducing"] = posterior.inducing
    arrays["training_points"] = posterior.training_points
    arrays["score_names"] = np.array(list(posterior.scores), dtype=np.str_)
    arrays["score_values"] = np.array(list(posterior.scores.values()), dtype=np.float64)
    arrays["kernel"] = np.array([term.name for term in posterior.kernel.terms])
    for i, term in enumerate(posterior.kernel.terms):
        arrays[f"variance_{i}"] = term.variance
        if isinstance(term, Stationary):
            arrays[f"lengthscale_{i}"] = term.lengthscale
            arrays[f"active_dims_{i}"] = term.active_dims
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Posterior:
    """Return the posterior that `encode` wrote.

    Raises `ModelFileError`: the file is not an archive of arrays, has another format number, or one
    of its arrays is missing, truncated, pickled, of a wrong type or shape, or not finite.
    """
    if not data.startswith((b"PK", arrayformat.MAGIC_PREFIX)):
        raise ModelFileError("not an .npz model file, or truncated: not a zip archive")
    try:
        archive = read_npy_safely(lambda: np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"not an .npz model file, or truncated: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ModelFileError("not an .npz model file: it is a single array")
    with archive:
        return _Reader(archive).posterior()


class _Reader:
    """Reads the arrays of an archive and checks each of them."""

    def __init__(self, archive: np.lib.npyio.NpzFile) -> None:
        self.archive = archive
        self.sizes: dict[str, int] = {"2": 2}

    def read_sizes(self) -> None:
        sizes = self.list_of("sizes", "i")
        if sizes.shape != (3,) or sizes.min() < 1:
            raise ModelFileError(f"array 'sizes' must hold d, N and p, not {sizes.tolist()}")
        d, n, p = sizes.tolist()
        self.sizes |= {"d": d, "N": n, "p": p, "N(N+1)/2": n * (n + 1) // 2}

    def array(self, key: str, kinds: str) -> Any:
        try:
            array = read_npy_safely(lambda: self.archive[key])
        except KeyError as error:
            raise ModelFileError(f"array {key!r} is missing") from error
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelFileError(f"array {key!r} cannot be read: {error}") from error
        except MemoryError as error:
            raise ModelFileError(f"array {key!r} is too large for the memory") from error
        if array.dtype.kind not in kinds:
            raise ModelFileError(f"array {key!r} has the wrong type {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"array {key!r} contains NaN or infinity")
        return array

    def scalar(self, key: str, kinds: str) -> Any:
        array = self.array(key, kinds)
        if array.shape != ():
            raise ModelFileError(f"array {key!r} must be one value, not of shape {array.shape}")
        return array.item()

    def positive(self, key: str, *, zero: bool = False) -> float:
        value = float(self.scalar(key, "f"))
        if value < 0 or (value == 0 and not zero):
            raise ModelFileError(f"array {key!r} must be {'>= 0' if zero else 'positive'}: {value}")
        return value

    def list_of(self, key: str, kinds: str) -> Any:
        array = self.array(key, kinds)
        if array.ndim != 1:
            raise ModelFileError(f"array {key!r} must be a list, not of shape {array.shape}")
        return array

    def shaped(self, key: str) -> FloatArray:
        array = self.array(key, "f")
        wanted = SHAPES[key]
        if array.shape != tuple(self.sizes[axis] for axis in wanted):
            expected = ", ".join(f"{axis} = {self.sizes[axis]}" for axis in wanted)
            raise ModelFileError(f"array {key!r} must have shape ({expected}), not {array.shape}")
        return np.ascontiguousarray(array, dtype=np.float64)

    def term(self, i: int, name: str) -> Term:
        if name == "Bias":
            return Bias(self.positive(f"variance_{i}", zero=True))
        if name == "White":
            return White(self.positive(f"variance_{i}", zero=True))
        if name not in FORMS:
            raise ModelFileError(f"array 'kernel' has an unsupported kernel: {name!r}")
        lengthscale = self.list_of(f"lengthscale_{i}", "f")
        active = self.list_of(f"active_dims_{i}", "i")
        if not len(active) or active.min() < 0 or active.max() >= self.sizes["d"]:
            raise ModelFileError(f"array 'active_dims_{i}' names inputs that do not exist")
        if len(lengthscale) not in (1, len(active)) or not (lengthscale > 0).all():
            raise ModelFileError(f"array 'lengthscale_{i}' must have one positive number per input")
        return Stationary(name, self.positive(f"variance_{i}"), lengthscale, active)

    def names(self) -> tuple[str, ...]:
        names = tuple(str(name) for name in self.list_of("feature_names", "U"))
        try:
            check_feature_names(names, self.sizes["d"])
        except ValueError as error:
            raise ModelFileError(f"array 'feature_names': {error}") from error
        return names

    def scores(self) -> dict[str, float]:
        names, values = self.list_of("score_names", "U"), self.list_of("score_values", "f")
        if len(names) != len(values):
            raise ModelFileError("arrays 'score_names' and 'score_values' differ in length")
        return dict(zip(names.tolist(), values.tolist(), strict=True))

    def posterior(self) -> Posterior:
        number = self.scalar("format", "i")
        if number != FORMAT:
            raise ModelFileError(f"'format' is {number}; this version reads format {FORMAT}")
        self.read_sizes()
        fields: dict[str, Any] = {key: self.shaped(key) for key in SHAPES}
        fields |= {key: self.scalar(key, "U") for key in TEXTS}
        if not (fields["input_scale"] > 0).all():
            raise ModelFileError("array 'input_scale' must be positive")
        kernel = self.list_of("kernel", "U").tolist()
        if not kernel:
            raise ModelFileError("array 'kernel' is empty")
        return Posterior(
            feature_names=self.names(),
            kernel=Kernel(tuple(self.term(i, name) for i, name in enumerate(kernel))),
            noise_variance=self.positive("noise_variance", zero=True),
            output_offset=float(self.scalar("output_offset", "f")),
            output_scale=self.positive("output_scale"),
            inducing=bool(self.scalar("inducing", "b")),
            training_points=int(self.scalar("training_points", "i")),
            scores=self.scores(),
            **fields,
        )


def verify(posterior: Posterior, predict: Callable[[FloatArray], FloatArray], large: int) -> None:
    """Check that `predict` reproduces GPy's answers, in small tiles and in one of `large` rows.

    Raises `ModelFileError`: an answer is off by more than its tolerance.
    """
    tolerances = _tolerances(posterior)
    for way, rows in (("small", len(tolerances)), ("large", large)):
        X = np.resize(posterior.reference_X, (rows, posterior.reference_X.shape[1]))
        error = np.abs(predict(X) - np.resize(posterior.reference_answers, (rows, 2)))
        excess = np.nan_to_num(error / np.resize(tolerances, (rows, 2)), nan=np.inf)
        if excess.max() > 1:
            row, column = np.unravel_index(np.argmax(excess), excess.shape)
            raise ModelFileError(
                f"array 'reference_answers' is not reproduced ({way} tiles): the "
                f"{('mean', 'variance')[column]} of point {row % len(tolerances)} is off by "
                f"{error[row, column]:.1e}, {excess.max():.1e} times the tolerance"
            )


def _tolerances(posterior: Posterior) -> FloatArray:
    """Return how far each reference answer may be off, shape (p, 2).

    It is `TOLERANCE` times the answer's scale: for a mean, the larger of itself and the prior's
    standard deviation; for a variance, the prior's, from which it is computed as a difference.
    A mean is Σ kᵢ αᵢ: where the kernel matrix is nearly singular, huge terms cancel, and rounding
    alone may exceed this, in GPy as well as here.
    """
    p = posterior
    prior = p.output_scale**2 * (p.kernel.diagonal + p.noise_variance)
    U = (p.reference_X - p.input_offset) / p.input_scale
    terms = p.output_scale * (p.kernel.K(U, p.X) @ np.abs(p.alpha))
    scale = np.maximum(np.abs(p.reference_answers[:, 0]), np.sqrt(prior))
    mean = np.maximum(TOLERANCE * scale, ROUNDING * terms)
    return np.column_stack([mean, np.full_like(mean, TOLERANCE * prior)])
