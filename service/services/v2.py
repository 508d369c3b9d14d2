"""Open Inference Protocol v2: from tensors to points, from predictions to outputs, metadata."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.model import BoolArray, FloatArray, Model
from service.services.body import length_in
from service.services.chunks import CHUNK_TILES, refuse_unusable, row_ranges
from service.services.errors import Problem, malformed, unusable
from service.services.features import Features, UnknownWord, features_of, listed
from service.services.options import Options
from service.services.points import refuse_too_many
from service.services.prediction import Derive, Predict, at_once, column_values, extrapolated
from service.services.v2data import read_arrays, wrong_input
from service.services.v2tensors import (
    DATATYPES,
    WORDS,
    Inference,
    Output,
    Parameters,
    RequestedOutput,
    Tensor,
    read_inference,
)

ALL_POINTS = "x"
"""The name of the input with all features, unless a feature has this name."""

_IN_MEMORY = 1 << 19


def inputs(features: Features) -> list[dict[str, Any]]:
    """Return the inputs in the model's metadata: each feature where words make them differ."""
    names = features.names
    if ALL_POINTS in names or features.codes:
        return [_input(name, 1, name in features.codes) for name in names]
    return [_input(ALL_POINTS, len(names))]


def read_request(
    text: bytes, raw: bytes | mmap.mmap | None, features: Features, limit: int
) -> tuple[Inference, NDArray[Any]]:
    """Read a request's JSON and the bytes after it: what it asks, and its points, shape (n, d).

    `raw` is None where no header announces bytes. If there are only bytes, they are one tensor, and
    the answer is bytes, too.

    Raises `Problem`: 400, 413, 422 as in `read_points`.
    """
    if raw is None:
        raw = b""
    elif not text:
        asked = Inference([], given=Parameters(binary_data_output=True))
        return asked, raw_points(raw, len(features.names), limit)
    asked = read_inference(text)
    X = read_points(asked, raw, features, limit)
    asked.inputs = []  # frees the text of the numbers
    return asked, X


def read_points(
    inference: Inference, raw: bytes | mmap.mmap, features: Features, limit: int
) -> NDArray[Any]:
    """Return the points, shape (n, d), of an input ``x`` or of one input per feature.

    Raises `Problem`: 400 for unknown or missing inputs; 413 beyond `limit` points; 422 for an
    unknown word.
    """
    names = features.names
    _refuse_misplaced_words(inference.inputs, features)
    arrays = read_arrays(inference.inputs, raw)
    if set(arrays) == {ALL_POINTS} and ALL_POINTS not in names:
        X = arrays[ALL_POINTS]
        if X.ndim != 2 or X.shape[1] != len(names):
            raise malformed(f"input x has shape {list(X.shape)}, not [n, {len(names)}]")
    else:
        _refuse_ambiguous_codes(inference.inputs, features)
        X = _stacked(_with_words(arrays, inference.inputs, features), features)
    if not len(X):
        raise malformed("there are no points: the inputs have length 0")
    refuse_too_many(len(X), limit)
    return X


def raw_points(raw: bytes | mmap.mmap, d: int, limit: int) -> NDArray[Any]:
    """Return the points of a body without JSON: FP64, d numbers per point."""
    dtype = DATATYPES["FP64"]
    n, rest = divmod(len(raw), d * dtype.itemsize)
    if rest or not n:
        raise malformed(f"{len(raw)} bytes are not points of {d} FP64 numbers")
    refuse_too_many(n, limit)
    return np.ndarray((n, d), dtype, raw)


def _refuse_misplaced_words(inputs: list[Tensor], features: Features) -> None:
    for tensor in inputs:
        if tensor.datatype == WORDS and tensor.name not in features.codes:
            supported = ", ".join(DATATYPES)
            detail = f"unsupported datatype {WORDS}, which is for words; supported: {supported}"
            raise wrong_input(tensor, detail)


def _refuse_ambiguous_codes(inputs: list[Tensor], features: Features) -> None:
    """Raise a `Problem` 400 for integers that may be words or codes: the words are integers too."""
    for tensor in inputs:
        words = features.codes.get(tensor.name, {})
        if "INT" in tensor.datatype and any(word.lstrip("+-").isdecimal() for word in words):
            raise wrong_input(
                tensor,
                f"the words {listed(list(words))} are numbers themselves: send them as {WORDS}, "
                "or their codes, which count from 0, as FP64",
            )


def _with_words(
    arrays: dict[str, NDArray[Any]], inputs: list[Tensor], features: Features
) -> dict[str, NDArray[Any]]:
    """Return the arrays with truth values as the words of categorical features."""
    words = {t.name for t in inputs if t.datatype == "BOOL" and t.name in features.codes}
    return {
        name: array.astype(bool).astype(object) if name in words else array
        for name, array in arrays.items()
    }


def _stacked(arrays: dict[str, NDArray[Any]], features: Features) -> NDArray[Any]:
    names = features.names
    if set(arrays) != set(names):
        given, each = ", ".join(arrays)[:200] or "none", f"each of {', '.join(names)}"
        takes = each if ALL_POINTS in names else f"{ALL_POINTS}, or {each}"
        raise malformed(f"the inputs are {given}; the model takes {takes}")
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
            raise malformed(f"input {name} has shape {list(array.shape)}, not [n] or [n, 1]")
        if len(array) != len(arrays[names[0]]):
            raise malformed(f"inputs {names[0]} and {name} differ in length")
    return np.column_stack([_codes(arrays[name].ravel(), name, features) for name in names])


def _codes(values: NDArray[Any], name: str, features: Features) -> NDArray[Any]:
    """Return a feature's numbers, or the codes of its words."""
    if values.dtype != object:
        return values
    codes = np.empty(len(values))
    for row, word in enumerate(values.tolist()):
        try:
            codes[row] = features.code(name, word)
        except UnknownWord as unknown:
            raise unusable(f"point {row}: {unknown}", row=row, feature=name) from None
    return codes


EXTRAPOLATED = "extrapolated"
"""The output that marks points outside the training range, and the answer's parameter."""


def infer(
    model: Model, X: NDArray[Any], asked: Inference, predict: Predict, derive: Derive = at_once
) -> tuple[list[Output], dict[str, Any]]:
    """Return the requested outputs, mean and variance when none is named, and parameters.

    The parameters say if a point is outside the training range.

    Raises `Problem`: 400 for an unknown output, 422 for a point that is not finite.
    """
    gradient = needs_gradient(asked, len(model.description.feature_names))
    options = Options(noise=asked.parameters.noise, gradient=gradient)
    return outputs(asked, *_predicted(model, X, options, predict, derive))


_MEAN_AND_VARIANCE = [RequestedOutput(name="mean"), RequestedOutput(name="variance")]


def needs_gradient(asked: Inference, d: int) -> bool:
    """Whether an output is a gradient; raise a `Problem` 400 for one that does not exist."""
    names = (*_places(d), EXTRAPOLATED)
    wanted = asked.outputs or _MEAN_AND_VARIANCE
    for output in wanted:
        _refuse_impossible(output, names)
    return any(output.name.endswith("_gradient") for output in wanted)


def outputs(
    asked: Inference, values: FloatArray, outside: BoolArray
) -> tuple[list[Output], dict[str, Any]]:
    """Return the requested outputs of a prediction, and further members of the answer.

    Parameters
    ----------
    values : mean and variance, perhaps with their gradients, shape (n, 2) or (n, 2 + 2d)
    outside : which points are outside the training range, shape (n, 1)
    """
    places, default = _places(values.shape[1] // 2 - 1), asked.parameters.binary_data_output
    tensors = [
        Output(
            output.name,
            outside if output.name == EXTRAPOLATED else values[:, places[output.name]],
            default if output.parameters.binary_data is None else output.parameters.binary_data,
        )
        for output in asked.outputs or _MEAN_AND_VARIANCE
    ]
    return tensors, {"parameters": {EXTRAPOLATED: True}} if outside.any() else {}


def head(model: Model, id: str, members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an answer that come before its outputs."""
    served = model.description
    return {"model_name": served.name, "model_version": served.version, "id": id, **members}


def _places(d: int) -> dict[str, slice]:
    """Return the columns of each output in a prediction with its gradient."""
    return {
        "mean": slice(0, 1),
        "variance": slice(1, 2),
        "mean_gradient": slice(2, 2 + d),
        "variance_gradient": slice(2 + d, 2 + 2 * d),
    }


def _refuse_impossible(output: RequestedOutput, names: Sequence[str]) -> None:
    if output.name not in names:
        raise malformed(f"unknown output {output.name[:80]!r}; outputs: {', '.join(names)}")
    if output.parameters.classification is not None:
        raise malformed(f"output {output.name}: classification is unsupported")
    if output.parameters.shared_memory_region is not None:
        raise malformed(f"output {output.name}: shared memory is unsupported")


def _predicted(
    model: Model, X: NDArray[Any], options: Options, predict: Predict, derive: Derive
) -> tuple[FloatArray, BoolArray]:
    """Return the numbers, shape (n, k), and which points are extrapolated, shape (n, 1)."""
    n, d = X.shape
    values, outside = _table(n, 2 + 2 * d * options.gradient), np.empty((n, 1), bool)
    step = CHUNK_TILES * model.large_tile
    for a, b in row_ranges(n, step):
        chunk = np.ascontiguousarray(X[a:b], dtype=np.float64)
        refuse_unusable(chunk, features_of(model), a)
        values[a:b] = column_values(model, chunk, options, predict, derive)
        outside[a:b, 0] = extrapolated(model, chunk)
    return values, outside


def _table(n: int, k: int) -> FloatArray:
    """Return room for all numbers, in a file when they are many: outputs are sent one by one."""
    if n * k <= _IN_MEMORY:
        return np.empty((n, k))
    return np.memmap(tempfile.TemporaryFile(), np.float64, "w+", shape=(n, k))


HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header with the length of a body's JSON, which the binary tensors follow."""


def json_length(header: str) -> int:
    """Read `HEADER_LENGTH`; raise a `Problem` 400 when it is not a length."""
    length = length_in(header.encode())
    if length is None:
        raise malformed(f"{HEADER_LENGTH} is not a length: {header[:40]!r}")
    return length


def refuse_short(text: bytes, length: int) -> None:
    """Raise a `Problem` 400 for a body that ends before the end of its JSON."""
    if len(text) < length:
        raise malformed(
            f"the body ends before the {length} bytes of JSON that {HEADER_LENGTH} announces"
        )


def paths(model: Model) -> tuple[str, str]:
    """Return the paths of the served model's predictions, without and with its version."""
    served, base = model.description, f"/v2/models/{model.description.name}"
    return f"{base}/infer", f"{base}/versions/{served.version}/infer"


EXTENSIONS = ("binary_tensor_data", "statistics")
"""Not the model repository: its index is answered, but clients cannot load or unload models."""


def server(release: str) -> dict[str, Any]:
    """Return the server's name, version and extensions."""
    return {"name": "gpserve", "version": release, "extensions": list(EXTENSIONS)}


def refuse_unknown(model: Model, name: str, version: str | None) -> None:
    """Raise a `Problem` 404 for another model or another version."""
    served = model.description
    if name != served.name:
        raise Problem(404, f"no such model: {name[:80]!r}; available: {served.name!r}")
    if version is not None and version != served.version:
        raise Problem(
            404, f"no such version: {version[:80]!r}; {name} is served in version {served.version}"
        )


def model(model: Model) -> dict[str, Any]:
    """Return the model's inputs and outputs; -1 is the number of points."""
    served = model.description
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": "gpserve",
        "inputs": inputs(features_of(model)),
        "outputs": [_tensor("mean", 1), _tensor("variance", 1)],
    }


def _tensor(name: str, width: int, datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, width]}


def _input(name: str, width: int, words: bool = False) -> dict[str, Any]:
    """Describe an input: with its own datatype, and in the parameters with all that are read."""
    datatypes = ", ".join([WORDS] * words + list(DATATYPES))
    described = _tensor(name, width, WORDS if words else "FP64")
    return {**described, "parameters": {"datatypes": datatypes}}


def repository(model: Model, reason: str) -> list[dict[str, str]]:
    """Return the index of models: the served one, and why it is not ready, if it is not."""
    served = model.description
    state = "UNAVAILABLE" if reason else "READY"
    return [{"name": served.name, "version": served.version, "state": state, "reason": reason}]


class Totals(NamedTuple):
    """How many points were predicted, in how many products and seconds."""

    points: int
    products: int
    seconds: float


def statistics(model: Model, totals: Totals) -> dict[str, Any]:
    """Return what was predicted since the start; parts that are not measured have count 0."""
    served = model.description
    measured = {"count": totals.products, "ns": round(totals.seconds * 1e9)}
    unmeasured = {"count": 0, "ns": 0}
    parts = dict.fromkeys(("fail", "queue", "compute_input", "compute_output"), unmeasured)
    statistics = {
        "name": served.name,
        "version": served.version,
        "last_inference": 0,
        "inference_count": totals.points,
        "execution_count": totals.products,
        "inference_stats": {"success": measured, "compute_infer": measured, **parts},
        "batch_stats": [],
    }
    return {"model_stats": [statistics]}
