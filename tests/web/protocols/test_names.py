"""Models whose names, or whose features' names, have a meaning in a protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.model import version_of
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.web.protocols.analytic import Analytic


class Stress(Analytic):
    """A function of x, y, z and t, named as a table's header names it."""

    def __init__(self) -> None:
        super().__init__()
        names = ("x", "y", "z", "t")
        self.description = replace(self.description, name="stress [N/mm]", feature_names=names)


PATH = "/v2/models/stress%20%5BN%2Fmm%5D"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    settings = Settings(model_class=f"{__name__}:Stress")
    return create_app(Runtime(settings)).test_client()


def _version() -> str:
    with Settings().model.open("rb") as file:
        return version_of(file)


def test_the_version_is_that_of_the_file_whatever_the_class_says(client: FlaskClient) -> None:
    """The class says 000000000002; headers, /model, /models, If-Match and v2 agree on another."""
    version = _version()
    answer = client.post("/predict", json={"points": [[0, 0, 0, 0]]})
    assert answer.headers["X-Model-Version"] == version
    assert client.get("/model").get_json()["version"] == version
    assert client.get("/models").get_json()["current"] == version
    assert client.get(PATH).get_json()["versions"] == [version]
    pinned = {"If-Match": f'"{version}"'}
    body = {"points": [[0, 0, 0, 0]]}
    assert client.post("/predict", json=body, headers=pinned).status_code == 200
    other = {"If-Match": '"000000000002"'}
    assert client.post("/predict", json=body, headers=other).status_code == 412


@pytest.mark.parametrize("version", ["", f"/versions/{_version()}"])
@pytest.mark.parametrize("name", [PATH, PATH.replace("%2F", "/")])
def test_a_name_with_a_slash(client: FlaskClient, name: str, version: str) -> None:
    for tail in ("", "/ready"):
        assert client.get(name + version + tail).get_json()["name"] == "stress [N/mm]", tail
    stats = client.get(f"{name}{version}/stats").get_json()
    assert stats["model_stats"][0]["name"] == "stress [N/mm]"
    said = client.post(f"{name}{version}/infer", json={"inputs": _inputs("x", "y", "z", "t")})
    assert said.get_json()["outputs"][0]["data"] == [0.5]


def test_a_feature_named_x_is_no_input_of_all_points(client: FlaskClient) -> None:
    described = client.get(PATH).get_json()["inputs"]
    assert [tensor["name"] for tensor in described] == ["x", "y", "z", "t"]
    assert {tuple(tensor["shape"]) for tensor in described} == {(-1, 1)}
    said = client.post(f"{PATH}/infer", json={"inputs": _inputs("x")})
    assert said.status_code == 400
    assert said.get_json()["error"] == "the inputs are x; the model takes each of x, y, z, t"


def _inputs(*names: str) -> list[dict[str, object]]:
    return [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in zip(names, (0.5, 1.0, 0.5, 0.5), strict=False)
    ]
