"""`pydantic-open-inference`, which makes a typed function of a served model."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pydantic_open_inference as poi

from service.model import FloatArray
from tests.helpers.serving import Server

Point = tuple[float, float, float, float]


class Inputs(poi.InputsBaseModel):
    x: Annotated[list[Point], poi.DatatypeOverride("FP64")]


class Outputs(poi.OutputsBaseModel):
    mean: list[tuple[float]]
    variance: list[tuple[float]]


def test_a_remote_model(server: Server, X: FloatArray, P: FloatArray) -> None:
    model = poi.RemoteModel(
        model_name="quakes",
        inputs_model=Inputs,
        outputs_model=Outputs,
        server_url=server.url,
    )
    assert model.is_ready()
    said = model.infer(Inputs(x=[tuple(row) for row in X.tolist()]))
    np.testing.assert_allclose(np.hstack([said.mean, said.variance]), P, rtol=1e-12)
