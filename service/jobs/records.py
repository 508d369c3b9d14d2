"""What is known of a job, and the states that it can be in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

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
