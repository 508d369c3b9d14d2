"""What a job is to do, as its record holds it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.services.options import Options

INPUT = "input"
"""The blob that holds the points or the table of a job."""

BEGIN = -1
"""The part number of a job's first message: plan the job, or do all of a small one."""


class Prediction(msgspec.Struct, tag="predict", frozen=True, kw_only=True):
    """A prediction of the points in the blob `INPUT`.

    Attributes
    ----------
    version : the stored version that answers, from the first part to the last
    form : a CSV table, or a .npy array of shape (n, d) or more axes
    shape : the leading shape of the points, when it is known
    media_type : of the result, unless another is asked for
    """

    version: str
    form: Literal["table", "array"]
    options: Options
    media_type: str
    shape: tuple[int, ...] | None = None


class Training(msgspec.Struct, tag="train", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training with the table in the blob `INPUT`."""

    target: Annotated[str, Meta(description="the output's column; default: the last")] = ""
    features: Annotated[
        tuple[str, ...], Meta(description="the inputs' columns; default: all others")
    ] = ()
    kernel: Annotated[str, Meta(description='a sum of names, as in "Matern52 + White"')] = "RBF"
    ard: Annotated[bool, Meta(description="one lengthscale per input")] = True
    inducing: Annotated[
        int, Meta(ge=0, le=5000, description="inducing inputs of a sparse GP; 0: an exact GP")
    ] = 0
    restarts: Annotated[int, Meta(ge=1, le=100, description="restarts of the optimiser")] = 3
    held_out: Annotated[
        float, Meta(ge=0.01, le=0.9, description="the share of rows held out to score the model")
    ] = 0.2
    name: Annotated[str, Meta(max_length=80, description="the model's name")] = ""
    activate: Annotated[
        bool, Meta(description="false: store the version but keep serving the current one")
    ] = True


Spec = Prediction | Training

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Spec] = msgspec.json.Decoder(Spec)


def encode(spec: Spec) -> bytes:
    """Write a specification as JSON."""
    return _encoder.encode(spec)


def decode(data: bytes) -> Spec:
    """Read what `encode` wrote."""
    return _decoder.decode(data)
