"""From the answer of ``GET /jobs/{id}/results`` to a prediction."""

from __future__ import annotations

from typing import Any

import httpx

from gpserve_client.answers import BoolArray, prediction
from gpserve_client.calls import NPY, read_array
from gpserve_client.options import Options


def result_of(response: httpx.Response, options: Options, outside: BoolArray | None) -> Any:
    """A `Prediction` of an array, else the JSON document."""
    if not response.headers.get("Content-Type", "").startswith(NPY):
        return response.json()
    values = read_array(response)
    d = (values.shape[-1] - options.width(0)) // 2 if options.gradient else 0
    version = response.headers.get("X-Model-Version", "")
    return prediction(values, options, version, outside, d)
