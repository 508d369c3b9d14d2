"""How a prediction is divided into parts that several workers compute at the same time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from time import perf_counter

import msgspec
import numpy as np

from service.jobs.blobs import JobBlobs
from service.jobs.specs import INPUT, Prediction
from service.model import FloatArray, Model
from service.services import arrays
from service.services.arrays import Header
from service.services.body import Spool
from service.services.chunks import Chunk, refuse_unusable, row_ranges
from service.services.features import Features, features_of
from service.services.options import Options
from service.services.prediction import Predict, column_values
from service.services.tables import Place, Table

_POINTS = "points"
_PLAN = "plan"


class Part(msgspec.Struct, array_like=True, frozen=True):
    """Consecutive rows that one worker computes.

    Attributes
    ----------
    start, stop : their bytes in the input
    before : how many lines of a table, or rows of an array, come before them
    rows : how many rows they are
    """

    start: int
    stop: int
    before: int
    rows: int


class Plan(msgspec.Struct, frozen=True):
    """The parts of a prediction.

    Attributes
    ----------
    blob : where the points are stored
    columns, delimiter, commas : of a table, repeated in its answer
    features : the d feature names
    categories : the words of each categorical feature
    shape : the leading shape of the answer
    dtype : of an array; empty for a table
    """

    blob: str
    columns: list[str]
    features: tuple[str, ...]
    shape: tuple[int, ...]
    parts: list[Part]
    delimiter: str = ","
    commas: bool = False
    dtype: str = ""
    categories: dict[str, tuple[str, ...]] = {}

    @property
    def inputs(self) -> Features:
        """The features, to read a part."""
        return Features(self.features, self.categories)

    @property
    def rows(self) -> int:
        """The number of rows of all parts together."""
        return sum(part.rows for part in self.parts)


def read_plan(blobs: JobBlobs) -> Plan:
    """Read the plan of a job; raises `BlobMissing` before it is written."""
    return msgspec.json.decode(blobs.read_all(_PLAN), type=Plan)


def write_plan(blobs: JobBlobs, plan: Plan) -> None:
    """Write the plan for all workers to read."""
    blobs.write(_PLAN, msgspec.json.encode(plan))


def make_plan(blobs: JobBlobs, spec: Prediction, model: Model, rows: int, limit: int) -> Plan:
    """Divide the input into parts of `rows`; a table may have at most `limit` rows.

    Raises `Problem`: 413 or 422 for an input that cannot be predicted.
    """
    features = features_of(model)
    categories = model.description.categories
    if spec.options.covariance:
        rows = limit  # a joint covariance cannot be computed in parts
    elif spec.options.samples:
        rows = max(rows, model.exact_draws)  # so few draws are exact, which takes one part
    if spec.form == "table":
        table = Table(blobs.open(INPUT), features, spec.options, count_bytes=True)
        parts = [Part(c.start, c.stop, c.lines, c.rows) for c in table.cuts(rows, limit)]
        shape = (sum(part.rows for part in parts),)
        names = features.names
        signs = table.delimiter, table.commas
        return Plan(INPUT, table.columns, names, shape, parts, *signs, categories=categories)
    return _array_plan(blobs, spec, model, rows)


def _array_plan(blobs: JobBlobs, spec: Prediction, model: Model, rows: int) -> Plan:
    features = features_of(model)
    names, categories = features.names, model.description.categories
    head = next(blobs.pieces(INPUT), b"")
    header, blob = arrays.read_header(io.BytesIO(head), len(names)), INPUT
    if header.fortran:
        header, blob = _store_in_row_order(blobs, header, features, rows), _POINTS
    width = header.dtype.itemsize * len(names)
    parts = [
        Part(header.start + a * width, header.start + b * width, a, b - a)
        for a, b in row_ranges(header.rows, rows)
    ]
    shape = header.shape[:-1] if spec.shape is None else spec.shape
    columns, dtype = list(names), header.dtype.str
    return Plan(blob, columns, names, shape, parts, dtype=dtype, categories=categories)


def _store_in_row_order(blobs: JobBlobs, header: Header, features: Features, rows: int) -> Header:
    """Store an array in Fortran's order once more, so that each row is contiguous."""
    spool = Spool(blobs.open(INPUT))
    source = arrays.read_array(spool, features, size=rows, limit=header.rows)
    start = arrays.header_bytes(header.shape)
    blobs.write(_POINTS, chain([start], row_bytes(source.chunks)))
    return Header(header.shape, False, np.dtype("<f8"), len(start))


def row_bytes(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The points as the rows of a .npy file of float64."""
    return (chunk.X.astype("<f8").tobytes() for chunk in chunks)


def read_part(
    blobs: JobBlobs, plan: Plan, part: Part, size: int, options: Options
) -> Iterator[Chunk]:
    """Read the rows of a part in chunks of `size`, divided as `row_ranges` does.

    Raises `Problem`: 422 for a point that is not finite or has a wrong code, and for a cell that is
    neither a number nor a word of its feature, unless the options allow bad rows.
    """
    if plan.dtype:
        yield from _array_chunks(blobs, plan, part, size)
        return
    body = blobs.open(plan.blob, part.start, part.stop)
    place = Place(plan.columns, plan.delimiter, plan.commas, part.before)
    table = Table(body, plan.inputs, options, place=place)
    yield from table.chunks(size, part.rows)


def _array_chunks(blobs: JobBlobs, plan: Plan, part: Part, size: int) -> Iterator[Chunk]:
    features = plan.inputs
    data = blobs.read(plan.blob, part.start, part.stop)
    flat = np.frombuffer(data, plan.dtype).reshape(part.rows, len(plan.features))
    for a, b in row_ranges(part.rows, size):
        X: FloatArray = np.ascontiguousarray(flat[a:b], dtype=np.float64)
        refuse_unusable(X, features, part.before + a, " of the array")
        yield Chunk(X)


READ_SECONDS_PER_ROW = 10e-6
"""To read a row of a table and to write its numbers, besides predicting them."""

_MEASURED_SECONDS = 0.05


def rows_per_part(model: Model, options: Options, predict: Predict, seconds: float) -> int:
    """How many rows take about `seconds`, as a multiple of `Model.large_tile`."""
    row = _seconds_per_row(model, options, predict) + READ_SECONDS_PER_ROW
    return max(1, int(seconds / row / model.large_tile)) * model.large_tile


def _seconds_per_row(model: Model, options: Options, predict: Predict) -> float:
    """Measure with more and more rows, until two timings of the same rows are long enough.

    A single timing may include warm-up or CPU contention; taking it at face value, for a single
    row, would divide a big job into thousands of parts.
    """

    def timed(count: int) -> float:
        X = model.description.points_across(count)
        started = perf_counter()
        column_values(model, X, options, predict)
        return perf_counter() - started

    count = 1
    while True:
        took = timed(count)
        if took > _MEASURED_SECONDS:
            took = min(took, timed(count))
        if took > _MEASURED_SECONDS or 4 * count > model.large_tile:
            return took / count
        count *= 4
