"""The result of a job: computed and stored part by part, answered in any format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np

from service.jobs.blobs import JobBlobs
from service.jobs.plans import Plan, read_part, read_plan
from service.jobs.records import DISMISSED, FAILED, SUCCESSFUL, Job
from service.jobs.specs import Prediction
from service.model import BoolArray, FloatArray, Model, read_npy_safely
from service.services import negotiation
from service.services.chunks import CHUNK_TILES, Answered, Chunk, Source, row_ranges
from service.services.errors import Problem, Where, ogc_problem, unusable
from service.services.options import Options
from service.services.prediction import (
    Limits,
    Predict,
    answered,
    as_functions,
    covariance,
    refuse_covariance_as,
)
from service.services.writing import layout_of, written
from service.storage.blobs import BlobMissing
from service.storage.versions import NoSuchVersion, Versions

_ROWS = 4096
"""Rows that are formatted at once."""


class WrongRows(Exception):
    """The stored numbers of a part are not those of its rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The numbers of a part, as its blob holds them.

    Attributes
    ----------
    values : shape (n, k), as `chunks.Answered`
    outside : which rows are outside the training range, shape (n,)
    errors : the reason for each bad row, by its index in the part, also of those that are dropped
    covariance : shape (n, n), when it was asked for
    """

    values: FloatArray
    outside: BoolArray
    errors: dict[int, str]
    covariance: FloatArray | None = None


def compute_part(
    blobs: JobBlobs,
    plan: Plan,
    spec: Prediction,
    part: int,
    model: Model,
    predict: Predict,
    limits: Limits,
) -> int:
    """Predict the rows of a part, store the numbers, and return how many rows they are."""
    size = CHUNK_TILES * model.large_tile
    options = as_functions(spec.options) if plan.rows > model.exact_draws else spec.options
    chunks = read_part(blobs, plan, plan.parts[part], size, options)
    points, values, outside = [], [], []
    errors: dict[int, str] = {}
    rows = 0
    for answer in answered(model, chunks, options, predict, limits):
        if options.covariance:
            points.append(answer.chunk.X)
        values.append(answer.values)
        outside.append(answer.extrapolated)
        errors |= {rows + i: why for i, why in answer.chunk.errors.items()}
        errors |= dict(answer.chunk.dropped)
        rows += len(answer.values)
    K = covariance(model, np.concatenate(points), options) if points else None
    numbers = Numbers(np.concatenate(values), np.concatenate(outside), errors, K)
    blobs.write(result_name(part), _encode(numbers))
    return plan.parts[part].rows


def result_name(part: int) -> str:
    """The blob that holds the numbers of a part."""
    return f"result-{part:06d}"


def _encode(numbers: Numbers) -> bytes:
    buffer = io.BytesIO()
    arrays = {"values": numbers.values, "outside": numbers.outside}
    if numbers.covariance is not None:
        arrays["covariance"] = numbers.covariance
    if numbers.errors:
        arrays["errors"] = np.frombuffer(msgspec.json.encode(numbers.errors), np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_numbers(blobs: JobBlobs, part: int) -> Numbers:
    """Read what `compute_part` has stored; raises `BlobMissing`."""
    data = blobs.read_all(result_name(part))
    return read_npy_safely(lambda: _decode(data))


def _decode(data: bytes) -> Numbers:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        errors: dict[int, str] = {}
        if "errors" in arrays:
            errors = msgspec.json.decode(arrays["errors"].tobytes(), type=dict[int, str])
        return Numbers(arrays["values"], arrays["outside"], errors, arrays.get("covariance"))


def answered_parts(
    blobs: JobBlobs, plan: Plan, spec: Prediction, size: int, *, cells: bool
) -> Iterator[Answered]:
    """All rows in order, in chunks of `size`, with the cells of the input if a table needs them.

    Only one part's numbers are in memory at a time. The rows of a table come in the chunks in which
    they are read, and long ones come in shorter chunks.

    Raises `WrongRows`: the stored numbers are not those of the plan.
    """
    drop, before = spec.options.on_bad_row == "drop", 0
    for i, part in enumerate(plan.parts):
        numbers = read_numbers(blobs, i)
        dropped = [(before + k, why) for k, why in numbers.errors.items()] if drop else []
        if len(numbers.values) + len(dropped) != part.rows:
            raise WrongRows(f"part {i}: {len(numbers.values)} rows instead of {part.rows}")
        before += part.rows
        inputs = read_part(blobs, plan, part, size, spec.options) if cells else _bare(numbers, size)
        b = 0
        for chunk in inputs:
            a, b = b, b + len(chunk.X)
            if drop:
                chunk.dropped, dropped = dropped, []
            else:
                chunk.errors = {k - a: why for k, why in numbers.errors.items() if a <= k < b}
            yield Answered(chunk, numbers.values[a:b], numbers.outside[a:b])
        if b != len(numbers.values):
            raise WrongRows(f"part {i}: {b} rows of the input, {len(numbers.values)} of numbers")


def _bare(numbers: Numbers, size: int) -> Iterator[Chunk]:
    """Chunks for an answer that does not repeat the input: only their lengths matter."""
    ranges = list(row_ranges(len(numbers.values), size))
    for a, b in ranges or [(0, 0)]:  # a part of which every row is left out
        yield Chunk(numbers.values[a:b])


def _shape(blobs: JobBlobs, plan: Plan, options: Options) -> tuple[int, ...]:
    """Return the leading shape of the answer, without the rows that are dropped.

    Raises `Problem`: 422 when every row is.
    """
    if options.on_bad_row != "drop" or plan.dtype:
        return plan.shape
    rows, reason = 0, ""
    for i in range(len(plan.parts)):
        numbers = read_numbers(blobs, i)
        rows += len(numbers.values)
        reason = reason or next(iter(numbers.errors.values()), "")
    if not rows:
        raise unusable(f"no row can be predicted: {reason}")
    return (rows,)


def refuse_unready(job: Job) -> None:
    """Raise the `Problem` of a job that has no result.

    Raises `Problem`: 404 when it is not ready, 410 when the job was dismissed, else why the job
    failed.
    """
    if job.status == SUCCESSFUL:
        return
    if job.status == DISMISSED:
        raise Problem(410, f"the job was dismissed at {job.finished}")
    if job.status == FAILED and job.problem:
        problem = msgspec.json.decode(job.problem)
        where = {k: v for k, v in problem.items() if k not in ("status", "detail", "type", "title")}
        raise Problem(problem["status"], problem["detail"], where=cast(Where, where))
    if job.status == FAILED:
        raise Problem(500, f"the job failed: {job.message}")
    detail = f"the job is {job.status}, {job.progress} % done"
    raise ogc_problem(404, "result-not-ready", detail)


def prediction_pieces(blobs: JobBlobs, spec: Prediction, media_type: str) -> Iterator[bytes]:
    """The bytes of a prediction's result.

    Raises `Problem`: 410 when the result has been deleted, 422 for a covariance in anything but
    JSON.
    """
    if spec.options.covariance:
        refuse_covariance_as(media_type)
    try:
        plan = read_plan(blobs)
        K = read_numbers(blobs, 0).covariance if spec.options.covariance else None
        shape = _shape(blobs, plan, spec.options)
        source = Source(plan.columns, shape, iter(()), plan.delimiter, plan.commas)
        layout = layout_of(source, spec.options, plan.inputs, K)
        table = media_type == negotiation.CSV
        return written(layout, answered_parts(blobs, plan, spec, _ROWS, cells=table), media_type)
    except BlobMissing as missing:
        raise Problem(410, f"the result is gone: {missing}") from None


def training_document(versions: Versions, job: Job) -> bytes:
    """The description of the version that a training has stored, as JSON.

    Raises `Problem`: 410 when it has been deleted.
    """
    try:
        return msgspec.json.encode(versions.described(job.version))
    except NoSuchVersion:
        raise Problem(410, "the result is gone") from None
