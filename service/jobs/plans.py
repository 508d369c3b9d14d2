"""How a job's points are cut into chunks, at multiples of the model's large tile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from time import perf_counter

import msgspec
import numpy as np

from service.jobs.blobs import Job, opened
from service.jobs.specs import INPUT, Prediction
from service.model import FloatArray, Model
from service.services import arrays
from service.services.arrays import Header
from service.services.body import Spool
from service.services.chunks import Chunk, row_ranges
from service.services.options import Options
from service.services.prediction import Predict, columns
from service.services.problems import unusable
from service.services.tables import Place, Table

_POINTS = "points"
_PLAN = "plan"


class Part(msgspec.Struct, array_like=True, frozen=True):
    """Rows that follow each other: bytes of the input, and the lines or rows before them."""

    start: int
    stop: int
    before: int
    rows: int


class Plan(msgspec.Struct, frozen=True):
    """The chunks of a prediction.

    Attributes
    ----------
    blob : where the points lie
    columns, delimiter : of a table, repeated in its answer
    features : the d feature names
    shape : the leading shape of the answer
    dtype : of an array; empty for a table
    """

    blob: str
    columns: list[str]
    features: tuple[str, ...]
    shape: tuple[int, ...] | None
    parts: list[Part]
    delimiter: str = ","
    dtype: str = ""

    @property
    def rows(self) -> int:
        """Of all parts together."""
        return sum(part.rows for part in self.parts)


def read_plan(job: Job) -> Plan:
    """The plan that was written; raises `BlobMissing` before that."""
    return msgspec.json.decode(job.blobs.read_all(job.name(_PLAN)), type=Plan)


def write_plan(job: Job, plan: Plan) -> None:
    """Write the plan for all workers to see."""
    job.write(_PLAN, msgspec.json.encode(plan))


def make_plan(job: Job, spec: Prediction, model: Model, rows: int, limit: int) -> Plan:
    """Cut the input into chunks of `rows`.

    Raises
    ------
    Problem
        413 or 422 for an input that cannot be predicted.
    """
    names = model.description.feature_names
    if spec.options.covariance:
        rows = limit  # of a joint covariance no part can be computed alone
    if spec.form == "table":
        table = Table(opened(job.blobs, job.name(INPUT)), names, count_bytes=True)
        parts = [Part(c.start, c.stop, c.lines, c.rows) for c in table.cuts(rows, limit)]
        shape = (sum(part.rows for part in parts),)
        return Plan(INPUT, table.columns, names, shape, parts, table.delimiter)
    return _array_plan(job, spec, names, rows)


def _array_plan(job: Job, spec: Prediction, names: tuple[str, ...], rows: int) -> Plan:
    head = next(job.blobs.pieces(job.name(INPUT)), b"")
    header, blob = arrays.read_header(io.BytesIO(head), len(names)), INPUT
    if header.fortran:
        header, blob = _in_row_order(job, header, names, rows), _POINTS
    width = header.dtype.itemsize * len(names)
    parts = [
        Part(header.start + a * width, header.start + b * width, a, b - a)
        for a, b in row_ranges(header.rows, rows)
    ]
    lead = header.shape[:-1] if spec.shape is None else spec.shape
    return Plan(blob, list(names), names, lead, parts, dtype=header.dtype.str)


def _in_row_order(job: Job, header: Header, names: tuple[str, ...], rows: int) -> Header:
    """Write an array in Fortran's order anew, so that its rows lie together."""
    spool = Spool(opened(job.blobs, job.name(INPUT)))
    source = arrays.read_array(spool, names, size=rows, limit=header.rows)
    start = arrays.header_bytes(header.shape)

    def pieces() -> Iterator[bytes]:
        yield start
        for chunk in source.chunks:
            yield np.ascontiguousarray(chunk.X, dtype="<f8").tobytes()

    job.blobs.write(job.name(_POINTS), pieces())
    return Header(header.shape, False, np.dtype("<f8"), len(start))


def chunks_of(job: Job, plan: Plan, part: Part, size: int, *, lenient: bool) -> Iterator[Chunk]:
    """The rows of a part as `row_ranges` cuts them; a `Problem` 422 for what is no number."""
    if plan.dtype:
        yield from _array_chunks(job, plan, part, size)
        return
    body = opened(job.blobs, job.name(plan.blob), part.start, part.stop)
    place = Place(plan.columns, plan.delimiter, part.before)
    table = Table(body, plan.features, lenient=lenient, place=place)
    yield from table.chunks(size, part.rows)


def _array_chunks(job: Job, plan: Plan, part: Part, size: int) -> Iterator[Chunk]:
    data = job.blobs.read(job.name(plan.blob), part.start, part.stop)
    flat = np.frombuffer(data, plan.dtype).reshape(part.rows, len(plan.features))
    for a, b in row_ranges(part.rows, size):
        X: FloatArray = np.ascontiguousarray(flat[a:b], dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
        if bad.size:
            row = part.before + a + int(bad[0])
            raise unusable(f"point {row} of the array is not finite: {X[bad[0]].tolist()}", row=row)
        yield Chunk(X)


READ_SECONDS_PER_ROW = 10e-6
"""To read a row of a table and to write its numbers, besides predicting them."""

_MEASURED_SECONDS = 0.05


def rows_of_chunk(model: Model, options: Options, predict: Predict, seconds: float) -> int:
    """Rows that take about so many seconds, a multiple of the large tile."""
    row = _seconds_per_row(model, options, predict) + READ_SECONDS_PER_ROW
    return max(1, int(seconds / row / model.large_tile)) * model.large_tile


def _seconds_per_row(model: Model, options: Options, predict: Predict) -> float:
    """Measured with more and more rows, until they take long twice.

    Once may be a first call, or a neighbour's turn on the CPU: believed of a single row, that
    would cut a big job into thousands of chunks.
    """
    low, high = model.description.training_range.T

    def timed(count: int) -> float:
        X = np.linspace(low, high, count)
        started = perf_counter()
        columns(model, X, options, predict)
        return perf_counter() - started

    count = 1
    while True:
        took = timed(count)
        if took > _MEASURED_SECONDS:
            took = min(took, timed(count))
        if took > _MEASURED_SECONDS or 4 * count > model.large_tile:
            return took / count
        count *= 4
