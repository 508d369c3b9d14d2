"""Messages between the process that talks to the queue and the one that computes."""

from __future__ import annotations

import msgspec


class Task(msgspec.Struct):
    """What the computing process is to do: a part of a job.

    Attributes
    ----------
    rows_per_part : to plan a prediction; 0 when it is to be measured first
    """

    id: str
    part: int
    spec: bytes
    rows_per_part: int = 0


class Progress(msgspec.Struct, tag=True):
    """The progress of a training."""

    message: str
    percent: float


class Measured(msgspec.Struct, tag=True):
    """How many rows of a prediction take about as long as a part should."""

    rows_per_part: int


class Planned(msgspec.Struct, tag=True):
    """The job is divided into parts; `done` if its only part is computed already."""

    points: int
    parts: int
    done: bool


class Computed(msgspec.Struct, tag=True):
    """The result of a part is stored."""

    points: int


class Trained(msgspec.Struct, tag=True):
    """A new version is stored."""

    version: str
    message: str
    activate: bool


class Rejected(msgspec.Struct, tag=True):
    """The job cannot be done, and another attempt would not help; with a problem document."""

    detail: str
    document: bytes


class Crashed(msgspec.Struct, tag=True):
    """An unexpected error; another attempt may succeed."""

    error: str
    trace: str


Message = Progress | Measured | Planned | Computed | Trained | Rejected | Crashed

encode = msgspec.msgpack.encode
decode_message: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
decode_task = msgspec.msgpack.Decoder(Task)
