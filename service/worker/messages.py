"""What the process that talks to the queue and the one that computes tell each other."""

from __future__ import annotations

import msgspec


class Task(msgspec.Struct):
    """What is sent to the computing process."""

    id: str
    chunk: int
    spec: bytes


class Told(msgspec.Struct, tag=True):
    """How far a training is."""

    message: str
    percent: float


class Planned(msgspec.Struct, tag=True):
    """The job has been cut; `done` says whether its only chunk is computed already."""

    points: int
    chunks: int
    done: bool


class Computed(msgspec.Struct, tag=True):
    """A chunk's result is stored."""

    points: int


class Trained(msgspec.Struct, tag=True):
    """A new version is stored."""

    version: str
    message: str
    activate: bool


class Refused(msgspec.Struct, tag=True):
    """The job cannot be done, whoever tries: a problem document."""

    status: int
    detail: str
    document: bytes


class Broken(msgspec.Struct, tag=True):
    """An unexpected error; another attempt may succeed."""

    error: str
    trace: str


Message = Told | Planned | Computed | Trained | Refused | Broken

encode = msgspec.msgpack.encode
decode_message: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
decode_task = msgspec.msgpack.Decoder(Task)
