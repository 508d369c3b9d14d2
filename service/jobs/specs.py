"""What a job is to do, as its record holds it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.gpr.trainingdata import TrainingOptions
from service.services.options import Options

INPUT = "input"
"""The blob that holds the points or the table of a job."""

SERVED = "served"
"""The blob that holds the version that was served when a training was accepted."""

BEGIN = -1
"""The part number of a job's first message: plan the job, or do all of a small one."""


Form = Literal["table", "array"]


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
    form: Form
    options: Options
    media_type: str
    shape: tuple[int, ...] | None = None


class Training(TrainingOptions, tag="train", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training with the table in the blob `INPUT`."""

    activate: Annotated[
        bool, Meta(description="false: store the version but keep serving the current one")
    ] = True
    force: Annotated[
        bool, Meta(description="activate the version even if its scores are clearly worse")
    ] = False


Spec = Prediction | Training

encode = msgspec.json.encode
decode = msgspec.json.Decoder[Spec](Spec).decode
