"""UM-Bridge as the wire has it: exact members, error types and statuses."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.helpers import plainhttp
from tests.helpers.serving import Server

ONE = {"name": "quakes", "input": [[-20.0, 180.0, 500.0, 20.0]]}
TOY = {"name": "toy", "input": [[0.5, 0.5, 0.5, 0.5]], "outWrt": 0, "inWrt": 0}
HESSIAN = {**TOY, "inWrt1": 0, "inWrt2": 0, "sens": [1, 1], "vec": [1, 1, 1, 1]}


@pytest.fixture
def toy(analytic: Server) -> httpx.Client:
    return plainhttp.Client(base_url=analytic.url)


def test_no_other_members(toy: httpx.Client) -> None:
    info = toy.get("/Info").json()
    assert info == {"protocolVersion": 1.0, "models": ["toy", "toy-mean", "toy-variance"]}
    assert type(info["protocolVersion"]) is float
    support = toy.post("/ModelInfo", json={"name": "toy"}).json()
    features = ("Evaluate", "Gradient", "ApplyJacobian", "ApplyHessian")
    assert support == {"support": dict.fromkeys(features, True)}
    assert toy.post("/InputSizes", json={"name": "toy"}).json() == {"inputSizes": [4]}
    assert toy.post("/OutputSizes", json={"name": "toy"}).json() == {"outputSizes": [2]}
    assert toy.post("/Evaluate", json=TOY).json().keys() == {"output"}
    for path in ("/Gradient", "/ApplyJacobian", "/ApplyHessian"):
        assert toy.post(path, json=HESSIAN).json().keys() == {"output"}, path


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "text/plain", "application/x-www-form-urlencoded"]
)
def test_any_content_type(http: httpx.Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = json.dumps(ONE, indent=4).encode()
    said = http.post("/Evaluate", content=body, headers=headers)
    assert said.status_code == 200
    assert said.headers["content-type"] == "application/json"
    assert len(said.json()["output"][0]) == 2


def test_a_number_that_r_writes_as_a_list(http: httpx.Client) -> None:
    config = {"n": [1], "noise": [False]}
    listed = http.post("/Evaluate", json={**ONE, "config": config}).json()
    plain = http.post("/Evaluate", json={**ONE, "config": {"n": 1, "noise": False}}).json()
    assert listed == plain


def test_one_point_is_answered_by_the_front(
    request: pytest.FixtureRequest, http: httpx.Client
) -> None:
    said = http.post("/Evaluate", json=ONE).headers.get("server-timing", "")
    front = request.node.callspec.params["server"] == "front"
    assert ("queue;dur=" in said) == front


WRONG = [
    ("/Evaluate", {"name": "nobody"}, "ModelNotFound", "nobody"),
    ("/Evaluate", {"name": "nobody", "input": "no matter"}, "ModelNotFound", "nobody"),
    ("/Gradient", {"name": "toyota"}, "ModelNotFound", "toyota"),
    ("/ApplyHessian", {"name": ""}, "ModelNotFound", "''"),
    ("/ModelInfo", {"name": "nobody"}, "ModelNotFound", "nobody"),
    ("/InputSizes", {"name": "nobody"}, "ModelNotFound", "nobody"),
    ("/OutputSizes", {"name": "nobody"}, "ModelNotFound", "nobody"),
    ("/Evaluate", {}, "InvalidInput", "name"),
    ("/Evaluate", {"name": "toy"}, "InvalidInput", "one input vector, but 0 are given"),
    ("/Evaluate", {**TOY, "input": [[1], [2]]}, "InvalidInput", "2 are given"),
    ("/Evaluate", {**TOY, "input": [[1, 2, 3]]}, "InvalidInput", "length 3, expected 4"),
    ("/Evaluate", {**TOY, "input": [[1, 2, 3, "x"]]}, "InvalidInput", "$.input[0][3]"),
    ("/Evaluate", {**TOY, "input": [1, 2, 3, 4]}, "InvalidInput", "$.input[0]"),
    ("/Evaluate", {**TOY, "config": {"n": 2}}, "InvalidInput", "length 4, expected 8"),
    ("/Evaluate", {**TOY, "config": {"n": 0}}, "InvalidInput", "$.config.n"),
    ("/Evaluate", {**TOY, "config": {"noize": 0}}, "InvalidInput", "noize"),
    ("/Gradient", {**TOY, "sens": [1]}, "InvalidInput", "sens has length 1, expected 2"),
    ("/Gradient", {**TOY, "sens": [1, 1], "outWrt": 1}, "InvalidInput", "outWrt is 1"),
    ("/Gradient", {**TOY, "sens": [1, 1], "inWrt": 2}, "InvalidInput", "inWrt is 2"),
    ("/ApplyJacobian", {**TOY, "vec": []}, "InvalidInput", "vec has length 0, expected 4"),
    ("/ApplyJacobian", {**TOY, "vec": [1] * 4, "inWrt": -1}, "InvalidInput", "inWrt is -1"),
    ("/ApplyHessian", {**HESSIAN, "inWrt1": 1}, "InvalidInput", "inWrt1 is 1"),
    ("/ApplyHessian", {**HESSIAN, "inWrt2": 1}, "InvalidInput", "inWrt2 is 1"),
    ("/ApplyHessian", {**HESSIAN, "outWrt": 1}, "InvalidInput", "outWrt is 1"),
    ("/ApplyHessian", {**HESSIAN, "sens": []}, "InvalidInput", "sens has length 0"),
    ("/ApplyHessian", {**HESSIAN, "vec": [1]}, "InvalidInput", "vec has length 1"),
]


@pytest.mark.parametrize(("path", "call", "kind", "says"), WRONG)
def test_wrong_calls(
    toy: httpx.Client, path: str, call: dict[str, object], kind: str, says: str
) -> None:
    said = toy.post(path, json=call)
    assert (said.status_code, said.headers["content-type"]) == (400, "application/json")
    _refused(said, kind, says)


def _refused(said: httpx.Response, kind: str, says: str) -> None:
    document = said.json()
    assert document.keys() == {"error"}
    assert document["error"].keys() == {"type", "message"}
    assert document["error"]["type"] == kind
    assert says in document["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"name": 3}', b'{"name":"toy"'])
def test_malformed_json(toy: httpx.Client, body: bytes) -> None:
    said = toy.post("/Evaluate", content=body)
    assert said.status_code == 400
    _refused(said, "InvalidInput", "")


def test_nan_and_infinity_are_refused(toy: httpx.Client) -> None:
    for word in ("NaN", "Infinity", "1e999"):
        body = json.dumps(TOY).replace("0.5", word)
        said = toy.post("/Evaluate", content=body.encode())
        assert said.status_code == 400
        _refused(said, "InvalidInput", "")


def test_an_output_that_is_not_finite(toy: httpx.Client) -> None:
    said = toy.post("/Evaluate", json={"name": "toy", "input": [[800, 1, 1, 1]]})
    assert said.status_code == 500
    _refused(said, "InvalidOutput", "finite")


@pytest.mark.parametrize("path", ["/Gradient", "/ApplyJacobian", "/ApplyHessian"])
def test_unsupported(sum_model: httpx.Client, path: str) -> None:
    said = sum_model.post(path, json={"name": "sum"})
    assert said.status_code == 400
    _refused(said, "UnsupportedFeature", path[1:])
    support = sum_model.post("/ModelInfo", json={"name": "sum"}).json()["support"]
    assert support[path[1:]] is False


def test_wrong_methods(http: httpx.Client) -> None:
    for path in ("/Evaluate", "/ModelInfo"):
        said = http.get(path)
        assert said.status_code == 405
        assert "POST" in said.headers["allow"]
        _refused(said, "MethodNotAllowed", "GET is not allowed")
    said = http.get("/Evaluate/more")
    assert said.status_code == 404
    _refused(said, "NotFound", "no such path")


def test_too_large(http: httpx.Client) -> None:
    said = http.post("/Evaluate", content=b" " * ((64 << 20) + 1))
    assert said.status_code == 413
    _refused(said, "InvalidInput", "larger than")


def test_head_of_the_root_is_answered(http: httpx.Client) -> None:
    """A client's first question: whether anybody is there."""
    assert http.head("/").status_code == 200
