"""What is known of a job, and the states that it can be in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.services.problems import unusable

Status = Literal["accepted", "running", "successful", "failed", "dismissed"]
Process = Literal["predict", "train"]

ACCEPTED, RUNNING = "accepted", "running"
SUCCESSFUL, FAILED, DISMISSED = "successful", "failed", "dismissed"
OPEN = (ACCEPTED, RUNNING)


class Record(msgspec.Struct):
    """A job as it is stored; times are ISO 8601, UTC."""

    id: str
    owner: str
    process: str
    status: str
    message: str
    created: str
    updated: str
    spec: bytes
    started: str = ""
    finished: str = ""
    percent: float = 0.0
    points: int = 0
    points_done: int = 0
    chunks: int = 0
    size: int = 0
    enqueued: int = 0
    committing: int = 0
    version: str = ""
    problem: bytes = b""

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status not in OPEN

    @property
    def progress(self) -> int:
        """0 to 100, and 100 only at a good end."""
        if self.status == SUCCESSFUL:
            return 100
        done = 100 * self.points_done / self.points if self.points else self.percent
        return min(99, int(done))


def now() -> str:
    """The time, as records say it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_record(fields: dict[bytes, bytes]) -> Record | None:
    """A record as Redis holds it, or None when it holds none."""
    if b"id" not in fields:
        return None
    values: dict[str, Any] = {
        key.decode(): value if key in (b"spec", b"problem") else value.decode()
        for key, value in fields.items()
    }
    known = {name: values[name] for name in Record.__struct_fields__ if name in values}
    numbers = ("percent", "points", "points_done", "chunks", "size", "enqueued", "committing")
    for name in numbers:
        if name in known:
            known[name] = float(known[name]) if name == "percent" else int(known[name])
    return Record(**known)


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
        Annotated[dict[str, Any], Meta(description="Why the job failed: a problem document.")]
        | UnsetType
    ) = UNSET
    links: list[Link]


def document(record: Record) -> dict[str, Any]:
    """The job document."""
    said: dict[str, Any] = {
        "jobID": record.id,
        "status": record.status,
        "type": "process",
        "processID": record.process,
        "progress": record.progress,
        "message": record.message,
        "created": record.created,
        "updated": record.updated,
    }
    said |= {
        name: getattr(record, name) for name in ("started", "finished") if getattr(record, name)
    }
    if record.points:
        said["points"] = {"done": record.points_done, "total": record.points}
    if record.version:
        said["version"] = record.version
    if record.problem:
        said["problem"] = msgspec.json.decode(record.problem)
    said["links"] = _links(record)
    return said


def _links(record: Record) -> list[dict[str, str]]:
    here = f"/jobs/{record.id}"
    links = [{"rel": "self", "href": here, "type": "application/json"}]
    if record.status == SUCCESSFUL:
        rel = "http://www.opengis.net/def/rel/ogc/1.0/results"
        links.append({"rel": rel, "href": f"{here}/results"})
    return links


MOST_LISTED = 1000


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs a caller wants to see in the list."""

    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED, description="at most this many jobs")] = 100
    status: Annotated[Status | None, Meta(description="only jobs in this state")] = None
    process: Annotated[Process | None, Meta(description="only jobs of this process")] = (
        msgspec.field(default=None, name="processID")
    )


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """The parameters of a query string; a `Problem` 422 says which is wrong."""
    try:
        return msgspec.convert(dict(parameters), Listing, strict=False)
    except msgspec.ValidationError as error:
        raise unusable(f"the list of jobs: {error}") from None
