"""The result of a job, in any form that a synchronous answer has, read chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from service.jobs import specs
from service.jobs.blobs import Job
from service.jobs.chunks import answered_parts, read_numbers
from service.jobs.jobs import ogc_problem
from service.jobs.plans import Plan, read_plan
from service.jobs.records import DISMISSED, FAILED, SUCCESSFUL, Record
from service.jobs.specs import Prediction, Spec
from service.services import negotiation
from service.services.answering import layout_of, written
from service.services.chunks import Source
from service.services.problems import Problem, unusable
from service.storage.blobs import BlobMissing, Blobs

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
    if spec.options.covariance and media_type != negotiation.JSON:
        raise unusable("covariance=true is answered as JSON only", option="covariance")
    job = Job(blobs, record.id)
    try:
        plan = read_plan(job)
        layout = layout_of(_source(plan, spec), spec.options, plan.features)
        if spec.options.covariance:
            K = read_numbers(job, 0).covariance
            assert K is not None
            layout.extra["covariance"] = K.item() if layout.shape == () else K.tolist()
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
        said = msgspec.json.decode(blobs.whole(job.name("result")))
    except BlobMissing:
        raise Problem(410, "the result is gone") from None
    return msgspec.json.encode(said | {"version": record.version})
