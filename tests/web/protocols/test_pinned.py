"""`If-Match` pins an experiment to one version in every protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.gpr import GPR

Call = Callable[[httpx.Client, GPR, list[float], str], httpx.Response]


def _umbridge(path: str, **more: Any) -> Call:
    def call(http: httpx.Client, gpr: GPR, point: list[float], pin: str) -> httpx.Response:
        body = {"name": gpr.description.name, "input": [point], **more}
        return http.post(path, json=body, headers={"If-Match": pin})

    return call


def _infer(http: httpx.Client, gpr: GPR, point: list[float], pin: str) -> httpx.Response:
    tensor = {"name": "x", "shape": [1, len(point)], "datatype": "FP64", "data": point}
    path = f"/v2/models/{gpr.description.name}/infer"
    return http.post(path, json={"inputs": [tensor]}, headers={"If-Match": pin})


CALLS = {
    "infer": _infer,
    "Evaluate": _umbridge("/Evaluate"),
    "Gradient": _umbridge("/Gradient", sens=[1, 0]),
    "ApplyJacobian": _umbridge("/ApplyJacobian", vec=[1, 0, 0, 0]),
    "ApplyHessian": _umbridge("/ApplyHessian", sens=[1, 0], vec=[1, 0, 0, 0]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_version_that_is_served(
    call: Call, http: httpx.Client, gpr: GPR, point: list[float]
) -> None:
    version = gpr.description.version
    answer = call(http, gpr, point, f'"{version}"')
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == version
    assert answer.headers["ETag"] == f'"{version}"'


@pytest.mark.parametrize("name", CALLS)
def test_another_version(name: str, http: httpx.Client, gpr: GPR, point: list[float]) -> None:
    answer = CALLS[name](http, gpr, point, '"000000000000"')
    assert answer.status_code == 412
    assert answer.headers["ETag"] == f'"{gpr.description.version}"'
    said = f'the model\'s version is {gpr.description.version}, not "000000000000"'
    if name == "infer":
        assert answer.json() == {"error": said}
    else:
        assert answer.json() == {"error": {"type": "PreconditionFailed", "message": said}}
