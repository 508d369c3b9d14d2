"""From an inference's tensors to points, and from predictions to the outputs it asks for."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.model import FloatArray, Model
from service.services.chunks import CHUNK_TILES, refuse_nonfinite, row_ranges
from service.services.options import Options
from service.services.points import refuse_too_many
from service.services.prediction import Predict, columns
from service.services.problems import Problem, malformed
from service.services.v2tensors import DATATYPES, Inference, Output, RequestedOutput, read_arrays

ALL_POINTS = "x"
"""The input that holds all features, unless a feature itself has this name."""

_IN_MEMORY = 1 << 19


def inputs(names: Sequence[str]) -> list[tuple[str, int]]:
    """The inputs that the model's description names, each with its width."""
    return [(name, 1) for name in names] if ALL_POINTS in names else [(ALL_POINTS, len(names))]


def read_points(
    inference: Inference, raw: bytes | mmap.mmap, names: Sequence[str], limit: int
) -> NDArray[Any]:
    """The points, shape (n, d), of an input ``x`` or of one input a feature.

    Raises
    ------
    Problem
        400 for inputs that the model does not have or that lack; 413 beyond `limit` points.
    """
    arrays = read_arrays(inference.inputs, raw)
    if set(arrays) == {ALL_POINTS} and ALL_POINTS not in names:
        X = arrays[ALL_POINTS]
        if X.ndim != 2 or X.shape[1] != len(names):
            raise malformed(f"input x has shape {list(X.shape)}, not [n, {len(names)}]")
    else:
        X = _stacked(arrays, names)
    if not len(X):
        raise malformed("there are no points: the inputs have length 0")
    refuse_too_many(len(X), limit)
    return X


def raw_points(raw: bytes | mmap.mmap, d: int, limit: int) -> NDArray[Any]:
    """The points of a body without JSON: FP64, d numbers a point."""
    dtype = DATATYPES["FP64"]
    n, rest = divmod(len(raw), d * dtype.itemsize)
    if rest or not n:
        raise malformed(f"{len(raw)} bytes are not points of {d} FP64 numbers")
    refuse_too_many(n, limit)
    return np.ndarray((n, d), dtype, raw)


def _stacked(arrays: dict[str, NDArray[Any]], names: Sequence[str]) -> NDArray[Any]:
    if set(arrays) != set(names):
        given, each = ", ".join(arrays)[:200] or "none", f"each of {', '.join(names)}"
        takes = each if ALL_POINTS in names else f"{ALL_POINTS}, or {each}"
        raise malformed(f"the inputs are {given}; the model takes {takes}")
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
            raise malformed(f"input {name} has shape {list(array.shape)}, not [n] or [n, 1]")
        if len(array) != len(arrays[names[0]]):
            raise malformed(f"inputs {names[0]} and {name} differ in length")
    return np.column_stack([arrays[name].ravel() for name in names])


def infer(model: Model, X: NDArray[Any], asked: Inference, predict: Predict) -> list[Output]:
    """The outputs that are asked for, mean and variance when none is named.

    Raises
    ------
    Problem
        400 for an output that the model does not have, 422 for a point that is not finite.
    """
    wanted = asked.outputs or [RequestedOutput("mean"), RequestedOutput("variance")]
    places = _places(len(model.description.feature_names))
    for output in wanted:
        _refuse_impossible(output, places)
    gradient = any(output.name.endswith("_gradient") for output in wanted)
    options = Options(noise=asked.parameters.noise, gradient=gradient)
    values = _predicted(model, X, options, predict)
    default = asked.parameters.binary_data_output
    return [
        Output(
            output.name,
            values[:, places[output.name]],
            default if output.parameters.binary_data is None else output.parameters.binary_data,
        )
        for output in wanted
    ]


def _places(d: int) -> dict[str, slice]:
    """Where each output stands among the columns of a prediction with its gradient."""
    return {
        "mean": slice(0, 1),
        "variance": slice(1, 2),
        "mean_gradient": slice(2, 2 + d),
        "variance_gradient": slice(2 + d, 2 + 2 * d),
    }


def _refuse_impossible(output: RequestedOutput, places: dict[str, slice]) -> None:
    if output.name not in places:
        raise malformed(f"no output {output.name[:80]!r} here; these are: {', '.join(places)}")
    if output.parameters.classification is not None:
        raise malformed(f"output {output.name}: classification is not offered here")
    if output.parameters.shared_memory_region is not None:
        raise malformed(f"output {output.name}: shared memory is not offered here")


def _predicted(model: Model, X: NDArray[Any], options: Options, predict: Predict) -> FloatArray:
    n, d = X.shape
    values = _table(n, 2 + 2 * d * options.gradient)
    step = CHUNK_TILES * model.large_tile
    for a, b in row_ranges(n, step):
        chunk = np.ascontiguousarray(X[a:b], dtype=np.float64)
        refuse_nonfinite(chunk, a)
        values[a:b] = columns(model, chunk, options, predict)
    return values


def _table(n: int, k: int) -> FloatArray:
    """Room for all numbers, since one output follows the other: in a file when they are many."""
    if n * k <= _IN_MEMORY:
        return np.empty((n, k))
    return np.memmap(tempfile.TemporaryFile(), np.float64, "w+", shape=(n, k))


HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says where the JSON of a body ends and its bytes begin."""

EXTENSIONS = ("binary_tensor_data", "model_repository", "statistics")


def server(release: str) -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": "gpserve", "version": release, "extensions": list(EXTENSIONS)}


def refuse_unknown(model: Model, name: str, version: str | None) -> None:
    """Raise a `Problem` 404 when another model, or another version, is meant."""
    served = model.description
    if name != served.name:
        raise Problem(404, f"no model {name[:80]!r} here, {served.name!r} is")
    if version is not None and version != served.version:
        raise Problem(404, f"{name} is served in version {served.version}, not {version[:80]!r}")


def model(model: Model) -> dict[str, Any]:
    """The model's inputs and outputs; -1 is the number of points."""
    served = model.description
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": "gpserve",
        "inputs": [_tensor(name, width) for name, width in inputs(served.feature_names)],
        "outputs": [_tensor("mean", 1), _tensor("variance", 1)],
    }


def _tensor(name: str, width: int) -> dict[str, Any]:
    return {"name": name, "datatype": "FP64", "shape": [-1, width]}


def repository(model: Model, reason: str) -> list[dict[str, str]]:
    """The index of models: the one that is served, and the reason why it is not ready, if any."""
    served = model.description
    state = "UNAVAILABLE" if reason else "READY"
    return [{"name": served.name, "version": served.version, "state": state, "reason": reason}]


class Totals(NamedTuple):
    """Points predicted, in so many products, which took so many seconds."""

    points: int
    products: int
    seconds: float


def statistics(model: Model, totals: Totals) -> dict[str, Any]:
    """What has been predicted since the start; a part that is not measured counts 0 times."""
    served = model.description
    measured = {"count": totals.products, "ns": round(totals.seconds * 1e9)}
    unmeasured = {"count": 0, "ns": 0}
    parts = dict.fromkeys(("fail", "queue", "compute_input", "compute_output"), unmeasured)
    return {
        "model_stats": [
            {
                "name": served.name,
                "version": served.version,
                "last_inference": 0,
                "inference_count": totals.points,
                "execution_count": totals.products,
                "inference_stats": {"success": measured, "compute_infer": measured, **parts},
                "batch_stats": [],
            }
        ]
    }
