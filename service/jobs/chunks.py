"""One chunk of a prediction: computed by a worker, kept as arrays, read by whoever answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from service.jobs.blobs import Job
from service.jobs.plans import Plan, chunks_of
from service.jobs.specs import Prediction
from service.model import FloatArray, Model
from service.parserrace import past_parser_race
from service.services import answering
from service.services.chunks import CHUNK_TILES, Chunk
from service.services.prediction import BoolArray, Limits, Predict, covariance
from service.services.spans import spans
from service.services.writing import Answered


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What a chunk's blob holds.

    Attributes
    ----------
    values : shape (n, k), as `answers.Answered`
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
    for answer in answering.answered(model, source, spec.options, p, limits):
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
    data = job.blobs.whole(job.name(result_name(i)))
    return past_parser_race(lambda: _decode(data))


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
    """All rows in order, as `spans` cuts them; with the input's `cells` if a table needs them.

    One chunk's numbers are in memory at a time, however many there are.
    """
    lenient = spec.options.on_bad_row == "nan"
    for i, part in enumerate(plan.parts):
        numbers = read_numbers(job, i)
        inputs = chunks_of(job, plan, part, size, lenient=lenient) if cells else None
        for a, b in spans(part.rows, size):
            values = numbers.values[a:b]
            chunk = next(inputs) if inputs is not None else Chunk(values[:0])
            near = {k - a: why for k, why in numbers.errors.items() if a <= k < b}
            chunk.errors = near
            yield Answered(chunk, values, numbers.outside[a:b])
