"""A client that leaves while its request is computed, in every protocol that has derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.app import create_app
from service.model import FloatArray
from service.runtime.runtime import Runtime
from service.settings import Settings
from service.web.hooks import CLIENT_LEFT, CLOSED_REQUEST
from tests.helpers.toys import Sum

N = 500
POINTS = [[1.0, 2.0, 3.0, 4.0]] * N
CALL = {"name": "sum-mean", "input": [[1.0] * 4 * N], "config": {"n": N}}
TENSOR = {"name": "x", "shape": [N, 4], "datatype": "FP64", "data": POINTS}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "predict": ("/predict", {"points": POINTS, "gradient": True}),
    "v2": ("/v2/models/sum/infer", {"inputs": [TENSOR], "outputs": [{"name": "mean_gradient"}]}),
    "gradient": ("/Gradient", {**CALL, "sens": [1.0] * N}),
    "jacobian": ("/ApplyJacobian", {**CALL, "vec": [1.0] * 4 * N}),
    "hessian": ("/ApplyHessian", {**CALL, "sens": [1.0] * N, "vec": [1.0] * 4 * N}),
}


class Watched(Sum):
    """Counts the points whose derivatives are computed, and tells somebody after each call."""

    def __init__(self) -> None:
        super().__init__()
        self.derived = 0
        self.tell: Callable[[], None] = lambda: None

    def gradient(self, X: FloatArray) -> FloatArray:
        return self._derivative(X, 2, 4)

    def hessian(self, X: FloatArray) -> FloatArray:
        return self._derivative(X, 2, 4, 4)

    def _derivative(self, X: FloatArray, *shape: int) -> FloatArray:
        if len(X) > 1:  # else it is only asked whether it can
            self.derived += len(X)
            self.tell()
        return np.ones((len(X), *shape))


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(Settings(model_class=f"{__name__}:Watched"))


def model_of(runtime: Runtime) -> Watched:
    model = runtime.live.model
    assert isinstance(model, Watched)
    return model


@pytest.mark.parametrize("name", REQUESTS)
def test_derivatives_stop_when_the_client_leaves(runtime: Runtime, name: str) -> None:
    model, scope = model_of(runtime), {CLIENT_LEFT: False}
    model.tell = lambda: scope.update({CLIENT_LEFT: True})
    path, body = REQUESTS[name]
    client = create_app(runtime).test_client()
    answer = client.post(path, json=body, environ_overrides={"asgi.scope": scope})
    assert answer.status_code == CLOSED_REQUEST
    assert 0 < model.derived < N / 2
    assert runtime.backlog_seconds() == 0


@pytest.mark.parametrize("name", REQUESTS)
def test_derivatives_are_in_the_backlog(runtime: Runtime, name: str) -> None:
    model = model_of(runtime)
    seen: list[float] = []
    model.tell = lambda: seen.append(runtime.backlog_seconds())
    path, body = REQUESTS[name]
    answer = create_app(runtime).test_client().post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert model.derived == N
    assert min(seen) > 0
    assert runtime.backlog_seconds() == 0
