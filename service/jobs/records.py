"""What is known of a job: its record in Redis, the document that callers read, its states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.services.errors import ProblemDocument, unusable

Status = Literal["accepted", "running", "successful", "failed", "dismissed"]
Process = Literal["predict", "train"]

ACCEPTED: Final = "accepted"
RUNNING: Final = "running"
SUCCESSFUL: Final = "successful"
FAILED: Final = "failed"
DISMISSED: Final = "dismissed"
OPEN = (ACCEPTED, RUNNING)


class Job(msgspec.Struct):
    """A job as its record in Redis holds it; times are ISO 8601 in UTC.

    Some fields have other names in Redis: those of version 0.1, whose workers and servers still run
    while a release is rolled out.

    Attributes
    ----------
    spec : what is to be done, as `specs.encode` writes it
    percent : the progress of a training
    rows_per_part : how a prediction is divided, agreed on once: all its plans are the same
    points, points_done : of a prediction, once it is planned
    parts : how many parts the prediction is divided into
    parts_sent : how many of the parts have been sent to the queue: each part sends the next one
    size : of the uploaded input, in bytes
    sent : 1 once the job's first message has been sent to the queue
    committing : 1 once it is too late to cancel the job
    version : the version that a training has stored
    problem : why the job failed, as a problem document
    """

    id: str
    owner: str
    process: Process
    status: Status
    message: str
    created: str
    updated: str
    spec: bytes
    started: str = ""
    finished: str = ""
    percent: float = 0.0
    rows_per_part: int = 0
    points: int = 0
    points_done: int = 0
    parts: int = msgspec.field(default=0, name="chunks")
    parts_sent: int = msgspec.field(default=0, name="queued")
    size: int = 0
    sent: int = msgspec.field(default=0, name="enqueued")
    committing: int = 0
    version: str = ""
    problem: bytes = b""

    @property
    def final(self) -> bool:
        """Whether the job has ended, so that nothing changes any more."""
        return self.status not in OPEN

    @property
    def progress(self) -> int:
        """From 0 to 100, and 100 only for a job that has succeeded."""
        if self.status == SUCCESSFUL:
            return 100
        done = 100 * self.points_done / self.points if self.points else self.percent
        return min(99, int(done))


_BYTES = (b"spec", b"problem")


def now() -> str:
    """The current time as records hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_job(fields: Mapping[bytes, bytes]) -> Job | None:
    """The job of a record, or None when Redis has no such record."""
    if b"id" not in fields:
        return None
    values = {
        name.decode(): value if name in _BYTES else value.decode() for name, value in fields.items()
    }
    return msgspec.convert(values, Job, strict=False)


def fields_of(job: Job) -> dict[str, Any]:
    """The fields of a job's record; empty ones are left out."""
    fields = msgspec.to_builtins(job, builtin_types=(bytes,))
    return {name: value for name, value in fields.items() if value not in ("", b"")}


class PointCount(msgspec.Struct):
    """How many points of a prediction are computed, and how many there are."""

    done: int
    total: int


class Link(msgspec.Struct):
    """The address of something that belongs to a job."""

    rel: str
    href: str
    type: str | UnsetType = UNSET


class JobDocument(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a caller reads about a job, in the words of OGC API – Processes."""

    id: Annotated[str, Meta(description="Identifies the job; cannot be guessed.")] = msgspec.field(
        name="jobID"
    )
    status: Annotated[Status, Meta(description="The last three are final.")]
    type: Literal["process"]
    process: Process = msgspec.field(name="processID")
    progress: Annotated[int, Meta(ge=0, le=100, description="In percent; 100 means successful.")]
    message: Annotated[str, Meta(description="What is happening, or how the job ended.")]
    created: Annotated[str, Meta(description="ISO 8601, UTC.")]
    updated: str
    started: str = ""
    finished: str = ""
    points: PointCount | UnsetType = UNSET
    version: Annotated[str, Meta(description="The version that a training has stored.")] = ""
    problem: (
        Annotated[ProblemDocument, Meta(description="Why the job failed: a problem document.")]
        | UnsetType
    ) = UNSET
    links: list[Link]


def document(job: Job) -> JobDocument:
    """Describe a job to its caller."""
    here = f"/jobs/{job.id}"
    links = [Link("self", here, "application/json")]
    if job.status == SUCCESSFUL:
        links.append(Link("http://www.opengis.net/def/rel/ogc/1.0/results", f"{here}/results"))
    return JobDocument(
        id=job.id,
        status=job.status,
        type="process",
        process=job.process,
        progress=job.progress,
        message=job.message,
        created=job.created,
        updated=job.updated,
        started=job.started,
        finished=job.finished,
        points=PointCount(job.points_done, job.points) if job.points else UNSET,
        version=job.version,
        problem=msgspec.json.decode(job.problem) if job.problem else UNSET,
        links=links,
    )


MOST_LISTED = 1000


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs a caller wants to see in the list."""

    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED, description="at most this many jobs")] = 100
    status: Annotated[Status | None, Meta(description="only jobs in this state")] = None
    process: Annotated[Process | None, Meta(description="only jobs of this process")] = (
        msgspec.field(default=None, name="processID")
    )


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """Read the parameters of a query string; a `Problem` 422 names one that is wrong."""
    try:
        return msgspec.convert(dict(parameters), Listing, strict=False)
    except msgspec.ValidationError as error:
        raise unusable(f"the list of jobs: {error}") from None
