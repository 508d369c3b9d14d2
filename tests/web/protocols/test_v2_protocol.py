"""Open Inference Protocol v2 as the wire has it: shapes, lengths, errors, statuses."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.gpr import GPR
from service.model import FloatArray
from service.runtime.runtime import Runtime
from service.settings import Settings

INFER = "/v2/models/quakes/infer"
LENGTH = "Inference-Header-Content-Length"
POINT = [-20.0, 180.0, 500.0, 20.0]
FEATURES = ("lat", "long", "depth", "stations")


def x(**members: Any) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": POINT}
    return {key: value for key, value in {**tensor, **members}.items() if value is not None}


def column(name: str, data: list[float], **members: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": "FP64", "data": data, **members}


def test_flat_and_nested_data(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    answers = []
    for data in (X.tolist(), X.ravel().tolist()):
        request = {"id": "7", "model_name": "quakes", "inputs": [x(shape=[20, 4], data=data)]}
        said = http.post(INFER, json=request)
        assert said.headers["content-type"] == "application/json"
        answers.append(said.json())
    assert answers[0] == answers[1]
    mean, variance = answers[0]["outputs"]
    assert (mean["name"], mean["datatype"], mean["shape"]) == ("mean", "FP64", [20, 1])
    assert (variance["name"], variance["shape"]) == ("variance", [20, 1])
    np.testing.assert_allclose(np.column_stack([mean["data"], variance["data"]]), P, rtol=1e-12)


def test_names_versions_and_ids(http: httpx.Client, gpr: GPR) -> None:
    version = gpr.description.version
    said = http.post(f"/v2/models/quakes/versions/{version}/infer", json={"inputs": [x()]}).json()
    assert (said["model_name"], said["model_version"]) == ("quakes", version)
    assert said["id"]
    assert http.post(INFER, json={"inputs": [x()], "id": "mine", "outputs": []}).json() == {
        **said,
        "id": "mine",
    }


def test_the_same_number_as_predict(http: httpx.Client) -> None:
    native = http.get("/predict", params=dict(zip(FEATURES, POINT, strict=True))).json()
    said = http.post(INFER, json={"inputs": [x()]}).json()
    assert {output["name"]: output["data"][0] for output in said["outputs"]} == native


def test_one_raw_tensor(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    said = http.post(INFER, content=X.astype("<f8").tobytes(), headers={LENGTH: "0"})
    assert said.headers["content-type"] == "application/octet-stream"
    length = int(said.headers[LENGTH])
    described = json.loads(said.content[:length])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in described] == [160, 160]
    values = np.frombuffer(said.content[length:], "<f8").reshape(2, 20)
    np.testing.assert_allclose(values.T, P, rtol=1e-12)


def test_bytes_for_one_input_and_numbers_for_another(http: httpx.Client) -> None:
    inputs = [column(name, [value]) for name, value in zip(FEATURES, POINT, strict=True)]
    for i in (1, 3):
        del inputs[i]["data"]
        inputs[i]["parameters"] = {"binary_data_size": 8}
    text = json.dumps({"inputs": inputs, "id": "a"}).encode()
    body = text + np.array([POINT[1], POINT[3]], "<f8").tobytes()
    said = http.post(INFER, content=body, headers={LENGTH: str(len(text))})
    assert said.json() == http.post(INFER, json={"inputs": [x()], "id": "a"}).json()


PANDAS_CODEC = """{"id":null,"parameters":{"content_type":"pd","headers":null},"inputs":[
{"name":"lat","shape":[2,1],"datatype":"INT64","parameters":null,"data":[-20,-60]},
{"name":"long","shape":[2,1],"datatype":"FP32","parameters":null,"data":[181.5,182.25]},
{"name":"depth","shape":[2,1],"datatype":"INT16","parameters":null,"data":[500,90]},
{"name":"stations","shape":[2,1],"datatype":"UINT8","parameters":null,"data":[30,60]}],
"outputs":null}"""
"""A data frame by the `PandasCodec` of MLServer 1.7.1, with the nulls of other pydantic models."""


def test_a_data_frame_as_mlserver_sends_it(http: httpx.Client, gpr: GPR) -> None:
    said = http.post(INFER, content=PANDAS_CODEC).json()
    want = gpr.predict(np.array([[-20, 181.5, 500, 30], [-60, 182.25, 90, 60]]))
    np.testing.assert_allclose([each["data"] for each in said["outputs"]], want.T, rtol=1e-12)
    assert said["parameters"] == {"extrapolated": True}


BINARY = {"binary_data_size": 32}
WRONG: list[tuple[Any, str]] = [
    ({}, "inputs"),
    ({"inputs": []}, "the inputs are none"),
    ({"inputs": [x(name="y")]}, "the inputs are y; the model takes x, or each of lat, long"),
    ({"inputs": [x(), x()]}, "x is given twice"),
    ({"inputs": [column(n, [1.0]) for n in FEATURES[1:]]}, "the inputs are long, depth"),
    ({"inputs": [x(shape=[4])]}, "shape [4], not [n, 4]"),
    ({"inputs": [x(shape=[2, 2])]}, "shape [2, 2], not [n, 4]"),
    ({"inputs": [x(shape=[1, 1, 4])]}, "length <= 2 - at `$.inputs[0].shape`"),
    ({"inputs": [x(shape=[0, 10**30], data=[])]}, "$.inputs[0].shape[1]"),
    ({"inputs": [x(shape=[], data=[1])]}, "shape [], not [n, 4]"),
    ({"inputs": [x(shape=[2, 4])]}, "4 numbers do not fill shape [2, 4]"),
    ({"inputs": [x(shape=[0, 4], data=[])]}, "no points"),
    ({"inputs": [x(shape=[-1, 4])]}, "$.inputs[0].shape[0]"),
    ({"inputs": [x(shape="all")]}, "$.inputs[0].shape"),
    ({"inputs": [x(datatype="BYTES")]}, "unsupported datatype BYTES, which is for words"),
    ({"inputs": [x(data=["a", 1, 2, 3])]}, "input x: Expected `float`, got `str` - at `data[0]`"),
    ({"inputs": [x(data=[[1, 2, 3, "a"]])]}, "got `str` - at `data[0][3]`"),
    ({"inputs": [x(data=[[1, 2], [3, 4]])]}, "nested as [2, 2], not as shape [1, 4]"),
    ({"inputs": [x(data=[[1, 2, 3, 4], [5, 6, 7, 8]])]}, "nested as [2, 4], not as"),
    ({"inputs": [x(data=[[1, 2], [3]])]}, "rows of data differ"),
    ({"inputs": [x(data=[1e39, 1, 1, 1], datatype="FP32")]}, "not finite"),
    ({"inputs": [x(data=None)]}, "neither data nor binary_data_size"),
    ({"inputs": [x(data=None, parameters=BINARY)]}, "ends within input x"),
    ({"inputs": [x(data=None, parameters={"binary_data_size": 8})]}, "binary_data_size is 8"),
    ({"inputs": [x(parameters={"shared_memory_region": "r"})]}, "shared memory"),
    ({"inputs": [column(n, [1.0, 2.0]) for n in FEATURES[:3]] + [column("stations", [1.0])]},
     "lat and stations differ in length"),
    ({"inputs": [column(n, [1.0, 2.0], shape=[1, 2]) for n in FEATURES]}, "not [n] or [n, 1]"),
    ({"inputs": [x()], "outputs": [{"name": "median"}]}, "unknown output 'median'"),
    ({"inputs": [x()], "outputs": [{"name": "mean", "parameters": {"classification": 1}}]},
     "classification"),
    ({"inputs": [x()], "parameters": {"noise": "loud"}}, "$.parameters.noise"),
    ({"inputs": [x()], "id": 7}, "$.id"),
    ([], "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "says"), WRONG)
def test_wrong_requests(http: httpx.Client, request_: Any, says: str) -> None:
    _refused(http.post(INFER, json=request_), 400, says)


def _refused(said: httpx.Response, status: int, says: str) -> None:
    assert said.status_code == status, said.text
    assert said.headers["content-type"] == "application/json"
    assert said.json().keys() == {"error"}
    assert says in said.json()["error"]


@pytest.mark.parametrize(
    ("body", "length", "says"),
    [
        (b"{", None, "the body is not JSON: it ends too early"),
        (b"\xff\xfe", None, "the body is not JSON: it is UTF-16"),
        (b"{}", "-1", "not a length"),
        (b"{}", "two", "not a length"),
        (b"{}", "3", "the body ends before the 3 bytes of JSON"),
        (b"\0" * 33, "0", "33 bytes are not points of 4"),
        (b"", "0", "0 bytes are not points"),
        (b"", None, "the body is not JSON: it is empty"),
    ],
)
def test_malformed_bodies(http: httpx.Client, body: bytes, length: str | None, says: str) -> None:
    headers = {} if length is None else {LENGTH: length}
    _refused(http.post(INFER, content=body, headers=headers), 400, says)


def test_bytes_that_no_input_accounts_for(http: httpx.Client) -> None:
    text = json.dumps({"inputs": [x()]}).encode()
    said = http.post(INFER, content=text + b"12345678", headers={LENGTH: str(len(text))})
    _refused(said, 400, "8 bytes follow the JSON, but the inputs account for 0")


def test_too_large(http: httpx.Client) -> None:
    _refused(http.post(INFER, content=b" " * ((64 << 20) + 1)), 413, "send binary tensors")
    _refused(http.post(INFER, content=b"{}", headers={LENGTH: "99999999999"}), 413, "binary")


def test_unknown_encoding(http: httpx.Client) -> None:
    said = http.post(INFER, content=b"{}", headers={"Content-Encoding": "br"})
    _refused(said, 415, "supported: gzip, deflate and identity")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v2/models/nobody", "no such model: 'nobody'; available: 'quakes'"),
        ("/v2/models/quakes/versions/000000000000", "served in version"),
        ("/v2/models/nobody/ready", "no such model"),
        ("/v2/models/nobody/stats", "no such model"),
        ("/v2/nothing", "no such path"),
    ],
)
def test_unknown_paths(http: httpx.Client, path: str, says: str) -> None:
    _refused(http.get(path), 404, says)


def test_wrong_method(http: httpx.Client) -> None:
    _refused(http.get(INFER), 405, "method GET is not allowed; allowed: OPTIONS, POST")
    _refused(http.post("/v2/health/ready"), 405, "method POST is not allowed; allowed: GET, HEAD")


def test_server(http: httpx.Client) -> None:
    assert http.get("/v2").json() == http.get("/v2/").json()
    assert http.get("/v2").json()["name"] == "gpserve"
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True, "live": True}
    assert http.get("/v2/models/quakes/ready").json() == {"name": "quakes", "ready": True}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}'])
def test_repository_index(http: httpx.Client, gpr: GPR, body: bytes) -> None:
    (model,) = http.post("/v2/repository/index", content=body).json()
    assert (model["name"], model["version"]) == ("quakes", gpr.description.version)


def test_while_draining() -> None:
    runtime = Runtime(Settings())
    client = create_app(runtime).test_client()
    runtime.draining = True
    said = client.get("/v2/health/ready")
    assert (said.status_code, said.json) == (503, {"ready": False, "live": True})
    said = client.get("/v2/models/quakes/ready")
    assert (said.status_code, said.json) == (503, {"name": "quakes", "ready": False})
    assert b"UNAVAILABLE" in client.post("/v2/repository/index").data
    assert client.get("/v2/health/live").status_code == 200


def test_small_requests_are_counted_by_their_template(http: httpx.Client) -> None:
    before = _counted(http)
    http.post(INFER, json={"inputs": [x()]}).raise_for_status()
    http.post("/v2/models/another/infer", json={"inputs": [x()]})
    after = _counted(http)
    added = {line for line in after if after[line] != before.get(line)}
    route = 'method="POST",route="/v2/models/<model:name>/infer"'
    assert added == {f'http_requests_total{{code="{code}",{route}}}' for code in (200, 404)}
    assert sum(after.values()) - sum(before.values()) == 2


def _counted(http: httpx.Client) -> dict[str, float]:
    lines = http.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("http_requests_total{"))
    return {line: float(value) for line, value in pairs if "/metrics" not in line}
