"""Model files: plain arrays in an .npz, checked when they are read. Never a pickle."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib import format as arrayformat
from numpy.typing import NDArray

from service.gpr.encoding import Encoding
from service.gpr.factors import Bias, Linear, Product, Single, StdPeriodic, Term, White
from service.gpr.kernels import Kernel
from service.gpr.means import BASES, Mean
from service.gpr.posterior import Posterior
from service.gpr.stationary import FORMS, Stationary
from service.model import FloatArray, ModelFileError, check_feature_names, read_npy_safely

FORMAT = 2
READABLE = (1, 2)
"""Format 1 had sums of stationary kernels, no mean function, and GPy's answers as a reference."""

FORMAT_1_TOLERANCE = 1e-8
FORMAT_1_JITTER = 1e-8
"""What GPy added to the diagonal of the kernel matrix."""

ROUNDING = 1e-14

ROWS_AT_ONCE = 64

TEXTS = ("name", "output_name", "gpy_version", "data_sha256", "created")
NUMBERS = ("noise_variance", "output_offset", "output_scale")
SHAPES: dict[str, tuple[str, ...]] = {
    "input_offset": ("D",),
    "input_scale": ("D",),
    "X": ("N", "D"),
    "alpha": ("N",),
    "factor": ("N(N+1)/2",),
    "training_range": ("d", "2"),
    "reference_X": ("p", "d"),
    "reference_answers": ("p", "2"),
}
"""The float arrays and their shapes; the array `sizes` holds D, N, p and d."""


def encode(posterior: Posterior) -> bytes:
    """Return the bytes of the model file; the same posterior gives the same bytes.

    Raises `ValueError`: a feature name cannot be used in requests.
    """
    p = posterior
    check_feature_names(p.feature_names, p.encoding.inputs)
    sizes = (*p.X.shape[::-1], len(p.reference_X), p.encoding.inputs)
    arrays: dict[str, Any] = {"format": FORMAT, "sizes": np.array(sizes)}
    arrays |= {key: getattr(p, key) for key in (*TEXTS, *NUMBERS, *SHAPES)}
    arrays |= {key: getattr(p, key) for key in ("y", "nugget", "jitter", "tolerance", "held_out")}
    arrays["feature_names"] = np.array(p.feature_names)
    arrays["inducing"] = p.inducing
    arrays["training_points"] = p.training_points
    arrays["score_names"] = np.array(list(p.scores), dtype=np.str_)
    arrays["score_values"] = np.array(list(p.scores.values()), dtype=np.float64)
    arrays |= {f"mean_{key}": value for key, value in vars(p.mean).items()}
    arrays["categorical"] = np.array(list(p.categories), dtype=np.int64)
    arrays |= {f"categories_{i}": np.array(words) for i, words in p.categories.items()}
    arrays |= _kernel_arrays(p.kernel)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _kernel_arrays(kernel: Kernel) -> dict[str, Any]:
    """Return the names of all factors, the term that each belongs to, and their numbers."""
    factors: list[Single | White] = []
    terms: list[int] = []
    for i, term in enumerate(kernel.terms):
        found = term.factors if isinstance(term, Product) else (term,)
        factors += found
        terms += [i] * len(found)
    arrays: dict[str, Any] = {"kernel": np.array([factor.name for factor in factors])}
    arrays["kernel_term"] = np.array(terms)
    for i, factor in enumerate(factors):
        numbers = {key: value for key, value in vars(factor).items() if key != "name"}
        if isinstance(factor, Stationary) and not factor.form.shape:
            del numbers["shape"]
        arrays |= {f"{key}_{i}": value for key, value in numbers.items()}
    return arrays


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

    def read_sizes(self, number: int) -> None:
        sizes = self.list_of("sizes", "i").tolist()
        expected = ("D", "N", "p", "d")[: 3 if number == 1 else 4]
        if len(sizes) != len(expected) or min(sizes) < 1:
            raise ModelFileError(f"array 'sizes' must hold {', '.join(expected)}, not {sizes}")
        self.sizes |= dict(zip(expected, sizes, strict=True))
        self.sizes.setdefault("d", sizes[0])
        n = self.sizes["N"]
        self.sizes["N(N+1)/2"] = n * (n + 1) // 2

    def array(self, key: str, kinds: str) -> Any:
        try:
            array = read_npy_safely(lambda: self.archive[key])
        except KeyError as error:
            raise ModelFileError(f"array {key!r} is missing") from error
        except MemoryError as error:
            raise ModelFileError(f"array {key!r} is too large for the memory") from error
        except SystemError:  # CPython's fault, not the file's
            raise
        except Exception as error:  # the header is parsed as Python, which may fail in any way
            raise ModelFileError(f"array {key!r} cannot be read: {str(error)[:200]}") from error
        if not isinstance(array, np.ndarray):
            raise ModelFileError(f"array {key!r} is not in NumPy's format")
        if array.dtype.kind not in kinds:
            raise ModelFileError(f"array {key!r} has the wrong type {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"array {key!r} contains NaN or infinity")
        if array.dtype.kind == "U":
            self.check_text(key, array)
        return array

    def check_text(self, key: str, array: NDArray[Any]) -> None:
        """Raise an error for text that cannot be written as UTF-8: any number may stand in it."""
        codes = np.frombuffer(array.tobytes(), array.dtype.byteorder.replace("=", "") + "u4")
        if ((codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ModelFileError(f"array {key!r} contains something that is not text")

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

    def numbers(self, key: str, count: int) -> FloatArray:
        """Read one positive number, or `count` of them."""
        numbers = self.list_of(key, "f")
        if len(numbers) not in (1, count) or not (numbers > 0).all():
            raise ModelFileError(f"array {key!r} must have one positive number per input")
        return np.asarray(numbers, dtype=np.float64)

    def active_dims(self, i: int) -> NDArray[np.int64]:
        active = self.list_of(f"active_dims_{i}", "i")
        if not len(active) or active.min() < 0 or active.max() >= self.sizes["D"]:
            raise ModelFileError(f"array 'active_dims_{i}' names inputs that do not exist")
        return np.asarray(active, dtype=np.int64)

    def factor(self, i: int, name: str) -> Single | White:
        if name in ("Bias", "White"):
            kind = Bias if name == "Bias" else White
            return kind(self.positive(f"variance_{i}", zero=True))
        if name not in (*FORMS, "Linear", "StdPeriodic"):
            raise ModelFileError(f"array 'kernel' has an unsupported kernel: {name!r}")
        active = self.active_dims(i)
        if name == "Linear":
            return Linear(self.numbers(f"variances_{i}", len(active)), active)
        lengthscale = self.numbers(f"lengthscale_{i}", len(active))
        variance = self.positive(f"variance_{i}")
        if name == "StdPeriodic":
            period = self.numbers(f"period_{i}", len(active))
            return StdPeriodic(variance, period, lengthscale, active)
        shape = self.positive(f"shape_{i}") if FORMS[name].shape else 0.0
        return Stationary(name, variance, lengthscale, active, shape)

    def kernel(self, number: int) -> Kernel:
        names = self.list_of("kernel", "U").tolist()
        if not names:
            raise ModelFileError("array 'kernel' is empty")
        factors = [self.factor(i, name) for i, name in enumerate(names)]
        if number == 1:
            return Kernel(tuple(factors))
        owners = self.list_of("kernel_term", "i").tolist()
        if len(owners) != len(factors) or sorted(owners) != owners:
            raise ModelFileError("array 'kernel_term' must have one term per factor, in order")
        return Kernel(tuple(_term(factors, owners, owner) for owner in dict.fromkeys(owners)))

    def mean(self) -> Mean:
        basis = self.scalar("mean_basis", "U")
        if basis not in BASES:
            raise ModelFileError(f"array 'mean_basis' has an unsupported mean: {basis!r}")
        coefficients = self.list_of("mean_coefficients", "f")
        centre = self.list_of("mean_centre", "f")
        estimated = bool(self.scalar("mean_estimated", "b"))
        try:
            mean = Mean(basis, coefficients, estimated, centre)
        except ValueError as error:
            raise ModelFileError(f"array 'mean_estimated': {error}") from error
        if len(coefficients) != mean.size(self.sizes["D"]):
            raise ModelFileError("array 'mean_coefficients' does not fit the inputs")
        if len(centre) not in (0, self.sizes["D"]):
            raise ModelFileError("array 'mean_centre' does not fit the inputs")
        return mean

    def optional(self, key: str) -> FloatArray:
        """Read one number per training input, or none."""
        array = self.list_of(key, "f")
        if len(array) not in (0, self.sizes["N"]):
            raise ModelFileError(f"array {key!r} must have N = {self.sizes['N']} numbers, or none")
        return np.asarray(array, dtype=np.float64)

    def outputs(self, key: str, inducing: bool) -> FloatArray:
        """Read one number per training input, which only a sparse GP may lack."""
        array = self.optional(key)
        if not (len(array) or inducing):
            raise ModelFileError(f"array {key!r} is empty, but the GP is exact")
        return array

    def held_out(self) -> FloatArray:
        array = self.array("held_out", "f")
        if array.ndim != 2 or array.shape[1] != 3:
            raise ModelFileError(f"array 'held_out' must have shape (m, 3), not {array.shape}")
        return np.asarray(array, dtype=np.float64)

    def categories(self) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        for i in self.list_of("categorical", "i").tolist():
            words = tuple(str(word) for word in self.list_of(f"categories_{i}", "U"))
            if not 0 <= i < self.sizes["d"] or not words or len(set(words)) != len(words):
                raise ModelFileError(f"array 'categories_{i}' does not describe an input")
            found[i] = words
        columns = Encoding(self.sizes["d"], found).columns
        if columns != self.sizes["D"]:
            raise ModelFileError(f"array 'categorical': {columns} columns, not {self.sizes['D']}")
        return found

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
        if number not in READABLE:
            raise ModelFileError(f"'format' is {number}; this version reads formats 1 and 2")
        self.read_sizes(number)
        fields: dict[str, Any] = {key: self.shaped(key) for key in SHAPES}
        fields |= {key: self.scalar(key, "U") for key in TEXTS}
        if not (fields["input_scale"] > 0).all():
            raise ModelFileError("array 'input_scale' must be positive")
        posterior = Posterior(
            feature_names=self.names(),
            kernel=self.kernel(number),
            noise_variance=self.positive("noise_variance", zero=True),
            output_offset=float(self.scalar("output_offset", "f")),
            output_scale=self.positive("output_scale"),
            inducing=bool(self.scalar("inducing", "b")),
            training_points=int(self.scalar("training_points", "i")),
            scores=self.scores(),
            **fields,
        )
        return _of_format_1(posterior) if number == 1 else self._complete(posterior)

    def _complete(self, posterior: Posterior) -> Posterior:
        """Add what format 1 did not have."""
        return replace(
            posterior,
            tolerance=self.positive("tolerance"),
            mean=self.mean(),
            y=self.outputs("y", posterior.inducing),
            nugget=self.outputs("nugget", posterior.inducing),
            jitter=self.positive("jitter", zero=True),
            categories=self.categories(),
            held_out=self.held_out(),
        )


def _term(factors: list[Single | White], owners: list[int], owner: int) -> Term:
    own = [factor for factor, other in zip(factors, owners, strict=True) if other == owner]
    if len(own) == 1:
        return own[0]
    singles = tuple(factor for factor in own if not isinstance(factor, White))
    if len(singles) < len(own):
        raise ModelFileError("array 'kernel' has White as a factor")
    return Product(singles)


def _absolute_product(K: FloatArray, factor: FloatArray) -> FloatArray:
    """Return ``K |C|ᵀ``, row of C by row: a copy of all would be as large as the model."""
    V = np.empty_like(K)
    first = 0
    for i in range(K.shape[1]):
        V[:, i] = K[:, : i + 1] @ np.abs(factor[first : first + i + 1])
        first += i + 1
    return V


def _of_format_1(p: Posterior) -> Posterior:
    """Add what format 1 left to be known: GPy's jitter, and so the outputs of an exact GP."""
    p = replace(p, tolerance=FORMAT_1_TOLERANCE, jitter=FORMAT_1_JITTER)
    if p.inducing:
        return p
    nugget = np.full(len(p.X), p.noise_variance + p.kernel.white + FORMAT_1_JITTER)
    y = nugget * p.alpha
    for i in range(0, len(y), ROWS_AT_ONCE):  # all of K would be larger than the model
        y[i : i + ROWS_AT_ONCE] += p.kernel.K(p.X[i : i + ROWS_AT_ONCE], p.X) @ p.alpha
    return replace(p, nugget=nugget, y=y)


def verify(
    posterior: Posterior, predict: Callable[[FloatArray], FloatArray], ways: Sequence[int]
) -> None:
    """Check that `predict` reproduces the answers, in arrays of at least so many points.

    Raises `ModelFileError`: an answer is off by more than its tolerance.
    """
    tolerances = _tolerances(posterior)
    for rows in (max(way, len(tolerances)) for way in ways):
        X = np.resize(posterior.reference_X, (rows, posterior.reference_X.shape[1]))
        error = np.abs(predict(X) - np.resize(posterior.reference_answers, (rows, 2)))
        excess = np.nan_to_num(error / np.resize(tolerances, (rows, 2)), nan=np.inf)
        if excess.max() > 1:
            row, column = np.unravel_index(np.argmax(excess), excess.shape)
            raise ModelFileError(
                f"array 'reference_answers' is not reproduced ({rows} points at once): the "
                f"{('mean', 'variance')[column]} of point {row % len(tolerances)} is off by "
                f"{error[row, column]:.1e}, {excess.max():.1e} times the tolerance"
            )


def _tolerances(posterior: Posterior) -> FloatArray:
    """Return how far each reference answer may be off, shape (p, 2).

    It is the file's tolerance times the answer's scale: for a mean, the larger of itself and the
    prior's standard deviation; for a variance, of itself and the prior's, from which it is
    computed as a difference. A mean is Σ kᵢ αᵢ, and a variance has the squares of Σ Cᵢⱼ kⱼ: where
    the kernel matrix is nearly singular, huge terms cancel, and another machine may round them
    differently.
    """
    p = posterior
    U = p.model_units(p.encoding.expand(p.reference_X))
    K = np.abs(p.kernel.K(U, p.X))
    unit = p.output_scale**2
    prior = unit * (p.kernel.diagonal(U) + p.noise_variance)
    scale = np.maximum(np.abs(p.reference_answers[:, 0]), np.sqrt(prior))
    mean = np.maximum(p.tolerance * scale, ROUNDING * p.output_scale * (K @ np.abs(p.alpha)))
    V = _absolute_product(K, p.factor)
    variance = np.maximum(prior, p.reference_answers[:, 1])
    squares = ROUNDING * unit * np.sqrt(np.vecdot(V, V) * p.kernel.diagonal(U))
    return np.column_stack([mean, np.maximum(p.tolerance * variance, squares)])
