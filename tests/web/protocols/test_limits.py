"""What is too large or too late is refused in every protocol, in its own form."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.helpers import plainhttp
from tests.helpers.serving import Server, serving
from tests.helpers.wire import read_to_the_end

POINT = [-20.0, 181.0, 500.0, 30.0]
CALL = {"name": "quakes", "config": {"n": 3}, "input": [POINT * 3]}
DERIVED = {**CALL, "sens": [1.0] * 6, "vec": [1.0] * 12}
TENSOR = {"name": "x", "shape": [3, 4], "datatype": "FP64", "data": POINT * 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two points a request, and half a second of silence in a body."""
    folder = tmp_path_factory.mktemp("limits")
    with serving(folder, max_points=2, body_timeout_seconds=0.5) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"points": [POINT] * 3}),
        ("/v2/models/quakes/infer", {"inputs": [TENSOR]}),
        ("/Evaluate", CALL),
        ("/Gradient", DERIVED),
        ("/ApplyJacobian", DERIVED),
        ("/ApplyHessian", DERIVED),
    ],
)
def test_more_points_than_one_request_may_hold(
    server: Server, path: str, body: dict[str, object]
) -> None:
    said = plainhttp.post(server.url + path, json=body)
    assert said.status_code == 413
    assert "3 points are more than 2, the limit of one request" in said.text


@pytest.mark.parametrize(
    ("path", "kind", "error"),
    [
        ("/Evaluate", "application/json", {"type": "RequestTimeout"}),
        ("/Gradient", "application/json", {"type": "RequestTimeout"}),
        ("/v2/models/quakes/infer", "application/json", "the body did not arrive in time"),
        ("/predict", "application/problem+json", None),
    ],
)
def test_half_a_body(server: Server, path: str, kind: str, error: object) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: gp\r\nContent-Length: 99\r\n\r\n{{"
    with server.connect() as wire:
        wire.sendall(head.encode())
        said, _, body = read_to_the_end(wire).partition(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert f"content-type: {kind}\r\n".encode() in said
    document = json.loads(body)
    if isinstance(error, dict):
        assert document.keys() == {"error"}
        assert document["error"].items() >= error.items()
    else:
        assert document.get("error") == error
