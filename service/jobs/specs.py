"""What a job is asked to do, as it is written into its record."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.gpr.trainingdata import TrainingOptions
from service.services.options import Options

INPUT = "input"

BEGIN = -1
"""The chunk number of a job's first message: plan the job, or do the whole of a small one."""


class Prediction(msgspec.Struct, tag="predict", frozen=True, kw_only=True):
    """A prediction whose points lie in the blob `INPUT`.

    Attributes
    ----------
    version : the stored version that answers, from the first chunk to the last
    form : a CSV table, or a .npy array of shape (n, d) or more axes
    shape : the leading shape of the points, when it is known
    media_type : of the result, unless another is asked for
    """

    version: str
    form: Literal["table", "array"]
    options: Options
    media_type: str
    shape: tuple[int, ...] | None = None


class Training(TrainingOptions, tag="train", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training whose table is stored in the blob `INPUT`."""

    activate: Annotated[bool, Meta(description="false: store the version, serve the old one")] = (
        True
    )


Spec = Prediction | Training

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Spec] = msgspec.json.Decoder(Spec)


def encode(spec: Spec) -> bytes:
    """The specification as JSON."""
    return _encoder.encode(spec)


def decode(data: bytes) -> Spec:
    """Read what `encode` wrote."""
    return _decoder.decode(data)
