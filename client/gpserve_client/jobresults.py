"""From the answer of ``GET /jobs/{id}/results`` to a prediction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from gpserve_client._requests import NPY, read_array
from gpserve_client.answers import BoolArray, prediction
from gpserve_client.options import Options


@dataclass(frozen=True)
class Asked:
    """What a job was asked, as far as this program knows.

    Attributes
    ----------
    outside : which points lie outside the training range of `version`
    """

    options: Options = field(default_factory=Options)
    outside: BoolArray | None = None
    version: str = ""


def result_of(response: httpx.Response, asked: Asked) -> Any:
    """A `Prediction` of an array, else the JSON document.

    Raises
    ------
    ValueError
        The job was sent with other options.
    """
    if not response.headers.get("Content-Type", "").startswith(NPY):
        return response.json()
    values = read_array(response)
    options = asked.options
    d = (values.shape[-1] - options.width(0)) // 2 if options.gradient else 0
    version = response.headers.get("X-Model-Version", "")
    outside = asked.outside if version == asked.version else None
    try:
        return prediction(values, options, version, outside, d)
    except ValueError as error:
        hint = "pass those of the job, as in job(id, Options(interval=0.9))"
        raise ValueError(f"{error}: {hint}") from None
