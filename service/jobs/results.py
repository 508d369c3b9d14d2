"""The result of a job, in any form that a synchronous answer has, read chunk by chunk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from service.jobs import specs
from service.jobs.blobs import Job
from service.jobs.plans import Plan, chunks_of, read_plan
from service.jobs.records import DISMISSED, FAILED, SUCCESSFUL, Record
from service.jobs.specs import Prediction, Spec
from service.model import BoolArray, FloatArray, Model, read_npy_safely
from service.services import negotiation
from service.services.chunks import CHUNK_TILES, Answered, Chunk, Source, row_ranges
from service.services.prediction import Limits, Predict, answered, covariance, refuse_covariance_as
from service.services.problems import Problem, ogc_problem
from service.services.writing import layout_of, written
from service.storage.blobs import BlobMissing, Blobs


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What a chunk's blob holds.

    Attributes
    ----------
    values : shape (n, k), as `writing.Answered`
    outside : which rows lie outside the training range, shape (n,)
    errors : the reason of each bad row, by its index in the chunk
    covariance : shape (n, n), when it was asked for
    """

    values: FloatArray
    outside: BoolArray
    errors: dict[int, str]
    covariance: FloatArray | None = None


def result_name(chunk: int) -> str:
    """The blob that holds a chunk's numbers."""
    return f"result-{chunk:06d}"


def compute_chunk(
    job: Job, plan: Plan, spec: Prediction, i: int, model: Model, p: Predict, limits: Limits
) -> int:
    """Predict the rows of chunk `i`, write the blob, and return their number."""
    lenient = spec.options.on_bad_row == "nan"
    part = plan.parts[i]
    source = chunks_of(job, plan, part, CHUNK_TILES * model.large_tile, lenient=lenient)
    done, whole, errors, rows = list[Answered](), list[FloatArray](), dict[int, str](), 0
    for answer in answered(model, source, spec.options, p, limits):
        errors |= {rows + k: reason for k, reason in answer.chunk.errors.items()}
        rows += len(answer.values)
        whole.append(answer.chunk.X if spec.options.covariance else answer.values[:0])
        answer.chunk = Chunk(answer.values[:0])  # its cells are read again for the answer
        done.append(answer)
    K = covariance(model, np.concatenate(whole), spec.options) if spec.options.covariance else None
    values = np.concatenate([answer.values for answer in done])
    outside = np.concatenate([answer.extrapolated for answer in done])
    job.write(result_name(i), _encode(Numbers(values, outside, errors, K)))
    return rows


def _encode(numbers: Numbers) -> bytes:
    buffer = io.BytesIO()
    said = {"values": numbers.values, "outside": numbers.outside}
    if numbers.covariance is not None:
        said["covariance"] = numbers.covariance
    if numbers.errors:
        said["errors"] = np.frombuffer(msgspec.json.encode(numbers.errors), np.uint8)
    np.savez(buffer, allow_pickle=False, **said)
    return buffer.getvalue()


def read_numbers(job: Job, i: int) -> Numbers:
    """What `compute_chunk` wrote; raises `BlobMissing`."""
    data = job.blobs.read_all(job.name(result_name(i)))
    return read_npy_safely(lambda: _decode(data))


def _decode(data: bytes) -> Numbers:
    with np.load(io.BytesIO(data), allow_pickle=False) as said:
        errors: dict[int, str] = {}
        if "errors" in said:
            errors = msgspec.json.decode(said["errors"].tobytes(), type=dict[int, str])
        K = said.get("covariance")
        return Numbers(said["values"], said["outside"], errors, K)


def answered_parts(
    job: Job, plan: Plan, spec: Prediction, size: int, *, cells: bool
) -> Iterator[Answered]:
    """All rows in order, as `row_ranges` cuts them; with the input's `cells` if a table needs them.

    One chunk's numbers are in memory at a time, however many there are.
    """
    lenient = spec.options.on_bad_row == "nan"
    for i, part in enumerate(plan.parts):
        numbers = read_numbers(job, i)
        inputs = chunks_of(job, plan, part, size, lenient=lenient) if cells else None
        for a, b in row_ranges(part.rows, size):
            values = numbers.values[a:b]
            chunk = next(inputs) if inputs is not None else Chunk(values[:0])
            near = {k - a: why for k, why in numbers.errors.items() if a <= k < b}
            chunk.errors = near
            yield Answered(chunk, values, numbers.outside[a:b])


_ROWS = 4096
"""Rows that are formatted at once."""


def refuse_unready(record: Record) -> None:
    """Raise the `Problem` of a job that has no result: not yet, or never."""
    if record.status == SUCCESSFUL:
        return
    if record.status == DISMISSED:
        raise Problem(410, f"the job was dismissed at {record.finished}")
    if record.status == FAILED and record.problem:
        said = msgspec.json.decode(record.problem)
        where = {k: v for k, v in said.items() if k not in ("status", "detail", "type", "title")}
        raise Problem(said["status"], said["detail"], where=where)
    if record.status == FAILED:
        raise Problem(500, f"the job failed: {record.message}")
    detail = f"the job is {record.status}, {record.progress} % done"
    raise ogc_problem(404, "result-not-ready", detail)


def spec_of(record: Record) -> Spec:
    """What the job was asked."""
    return specs.decode(record.spec)


def prediction_pieces(
    blobs: Blobs, record: Record, spec: Prediction, media_type: str
) -> Iterator[bytes]:
    """The bytes of a prediction's result.

    Raises
    ------
    Problem
        410 when the result is gone, 422 for a covariance as anything but JSON.
    """
    if spec.options.covariance:
        refuse_covariance_as(media_type)
    job = Job(blobs, record.id)
    try:
        plan = read_plan(job)
        K = read_numbers(job, 0).covariance if spec.options.covariance else None
        layout = layout_of(_source(plan, spec), spec.options, plan.features, K)
        table = media_type == negotiation.CSV
        return written(layout, answered_parts(job, plan, spec, _ROWS, cells=table), media_type)
    except BlobMissing as missing:
        raise Problem(410, f"the result is gone: {missing}") from None


def _source(plan: Plan, spec: Prediction) -> Source:
    shape = plan.shape if plan.shape is not None else (plan.rows,)
    assert int(np.prod(shape)) == plan.rows
    return Source(plan.columns, shape, iter(()), plan.delimiter)


def training_document(blobs: Blobs, record: Record) -> bytes:
    """What the new version says of itself, as JSON."""
    job = Job(blobs, record.id)
    try:
        said = msgspec.json.decode(blobs.read_all(job.name("result")))
    except BlobMissing:
        raise Problem(410, "the result is gone") from None
    return msgspec.json.encode(said | {"version": record.version})
