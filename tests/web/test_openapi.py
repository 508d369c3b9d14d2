"""The OpenAPI document says what the server reads and answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from service.app import create_app
from service.jobs.records import JobDocument, Listing
from service.jobs.specs import Training
from service.runtime.runtime import Runtime
from service.services.options import Options
from service.services.umbridge import Call, Config
from service.services.v2tensors import Inference, Parameters, RequestedOutput, Tensor
from service.settings import Settings

Document = dict[str, Any]

PREDICT, EVALUATE, INFER = "/predict", "/Evaluate", "/v2/models/{name}/infer"
POINT = {"lat": -20, "long": 181, "depth": 500, "stations": 30}
ROW = [*POINT.values()]
FLAT = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}
NESTED = {**FLAT, "data": [ROW]}

READ = {
    "point": (PREDICT, POINT),
    "point with options": (PREDICT, {**POINT, "interval": 0.9, "gradient": True}),
    "columns": (PREDICT, {name: [value, value] for name, value in POINT.items()}),
    "columns with options": (PREDICT, {**{n: [v] for n, v in POINT.items()}, "samples": 2}),
    "objects": (PREDICT, [POINT, POINT]),
    "one row": (PREDICT, {"points": ROW}),
    "rows": (PREDICT, {"points": [ROW, ROW]}),
    "rows with options": (PREDICT, {"points": [ROW], "noise": False, "covariance": True}),
    "deeper rows": (PREDICT, {"points": [[[ROW, ROW]]], "gradient": True}),
    "objects among points": (PREDICT, {"points": [POINT], "interval": None}),
    "far from the training data": (PREDICT, {**POINT, "lat": -89}),
    "evaluate": (EVALUATE, {"name": "quakes", "input": [ROW]}),
    "evaluate as R sends it": (
        EVALUATE,
        {"name": "quakes-mean", "input": [ROW], "config": {"n": [1], "noise": [True]}},
    ),
    "evaluate two": (EVALUATE, {"name": "quakes", "input": [ROW + ROW], "config": {"n": 2}}),
    "model info": ("/ModelInfo", {"name": "quakes"}),
    "input sizes": ("/InputSizes", {"name": "quakes", "config": {"n": [3]}}),
    "output sizes": ("/OutputSizes", {"name": "quakes", "config": {}}),
    "gradient": (
        "/Gradient",
        {"name": "quakes", "outWrt": 0, "inWrt": 0, "input": [ROW], "sens": [1, 0]},
    ),
    "jacobian": ("/ApplyJacobian", {"name": "quakes-mean", "input": [ROW], "vec": ROW}),
    "hessian": ("/ApplyHessian", {"name": "quakes-mean", "input": [ROW], "sens": [1], "vec": ROW}),
    "infer": (INFER, {"inputs": [FLAT]}),
    "infer nested": (INFER, {"id": "7", "inputs": [NESTED], "parameters": {"noise": False}}),
    "infer outputs": (INFER, {"inputs": [FLAT], "outputs": [{"name": "mean_gradient"}]}),
}

REFUSED = {
    "text": (PREDICT, {**POINT, "lat": "north"}),
    "missing": (PREDICT, {"lat": 1}),
    "option": (PREDICT, {"points": [ROW], "interval": 2}),
    "no points": (PREDICT, {"points": []}),
    "config": (EVALUATE, {"name": "quakes", "input": [ROW], "config": {"n": [1, 2]}}),
    "unknown config": (EVALUATE, {"name": "quakes", "input": [ROW], "config": {"m": 1}}),
    "no input": (EVALUATE, {"name": "quakes"}),
    "other model": (EVALUATE, {"name": "other", "input": [ROW]}),
    "datatype": (INFER, {"inputs": [{**FLAT, "datatype": "BF16"}]}),
    "shape": (INFER, {"inputs": [{**FLAT, "shape": [1, 4, 1]}]}),
    "no inputs": (INFER, {}),
}


@pytest.fixture(scope="module", params=["", "redis://127.0.0.1:1/0"], ids=["alone", "queue"])
def app(request: pytest.FixtureRequest) -> Flask:
    return create_app(Runtime(Settings(redis_url=request.param)))


@pytest.fixture
def has_queue(app: Flask) -> bool:
    return bool(app.extensions["gpserve"].settings.redis_url)


@pytest.fixture
def document(app: Flask) -> Document:
    described: Document = app.test_client().get("/openapi.json").get_json()
    return described


@pytest.fixture
def served(http: httpx.Client) -> Document:
    described: Document = http.get("/openapi.json").json()
    return described


def valid(document: Document, schema: Document, value: object) -> bool:
    """Whether a value is what a schema of the document says."""
    whole = {**schema, "components": document["components"]}
    return bool(Draft202012Validator(whole).is_valid(value))


def body_schema(document: Document, path: str) -> Document:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema: Document = body["schema"]
    return schema


@pytest.mark.parametrize(("path", "body"), READ.values(), ids=READ)
def test_what_is_read_and_answered_is_described(
    http: httpx.Client, served: Document, path: str, body: object
) -> None:
    answer = http.post(path.format(name="quakes"), json=body)
    assert answer.status_code == 200, answer.text
    assert valid(served, body_schema(served, path), body)
    content = served["paths"][path]["post"]["responses"]["200"]["content"]
    assert valid(served, content["application/json"]["schema"], answer.json())


@pytest.mark.parametrize(("path", "body"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_not_described(
    http: httpx.Client, served: Document, path: str, body: object
) -> None:
    answer = http.post(path.format(name="quakes"), json=body)
    assert not valid(served, body_schema(served, path), body)
    problem = served["paths"][path]["post"]["responses"][str(answer.status_code)]["content"]
    assert valid(served, problem[answer.headers["Content-Type"]]["schema"], answer.json())


@pytest.mark.parametrize(
    "path",
    [
        *("/Info", "/v2", "/v2/models/{name}", "/v2/models/{name}/stats", "/v2/models/stats"),
        *("/model", "/model/diagnostics", "/models", "/readyz", "/v2/health/ready"),
    ],
)
def test_answers_are_described(http: httpx.Client, served: Document, path: str) -> None:
    content = served["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    assert valid(served, content["schema"], http.get(path.format(name="quakes")).json())


def test_the_index_is_described(http: httpx.Client, served: Document) -> None:
    path = "/v2/repository/index"
    content = served["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
    assert valid(served, content["schema"], http.post(path).json())


def struct_schema(struct: type[msgspec.Struct]) -> Document:
    _, schemas = msgspec.json.schema_components(
        [struct], ref_template="#/components/schemas/{name}"
    )
    schema: Document = msgspec.json.decode(msgspec.json.encode(schemas[struct.__name__]))
    return schema


def properties(struct: type[msgspec.Struct]) -> Document:
    """The schemas of a struct's fields, without the tag that only records have."""
    described = struct_schema(struct)["properties"]
    return {name: described[name] for name in struct.__struct_encode_fields__}


@pytest.mark.parametrize("struct", [Config, Inference, Tensor, Parameters, RequestedOutput])
def test_schemas_are_those_of_the_structs(document: Document, struct: type[msgspec.Struct]) -> None:
    assert document["components"]["schemas"][struct.__name__] == struct_schema(struct)


def test_each_call_has_members_of_the_struct(document: Document) -> None:
    members = properties(Call)
    used = set()
    for path in ("/ModelInfo", "/InputSizes", "/Evaluate", "/Gradient", "/ApplyHessian"):
        described = body_schema(document, path)["properties"]
        used |= set(described)
        assert described.pop("name") == {
            **members["name"],
            "enum": ["quakes", "quakes-mean", "quakes-variance"],
        }
        assert described.items() <= members.items()
    assert used | {"vec"} == set(members)


def queries(document: Document) -> Iterator[tuple[str, str, type[msgspec.Struct]]]:
    yield "/predict", "post", Options
    if "/jobs" in document["paths"]:
        yield "/train", "post", Training
        yield "/jobs", "get", Listing


def test_parameters_are_the_fields_of_the_structs(document: Document) -> None:
    for path, method, struct in queries(document):
        described = {
            parameter["name"]: parameter["schema"] | {"description": parameter["description"]}
            for parameter in document["paths"][path][method]["parameters"]
            if parameter["in"] == "query"
        }
        assert described == properties(struct)


def test_jobs_are_described_where_there_is_a_queue(document: Document, has_queue: bool) -> None:
    paths, schemas = document["paths"], document["components"]["schemas"]
    jobs = {"/train", "/jobs", "/jobs/{id}", "/jobs/{id}/results"}
    assert jobs & paths.keys() == (jobs if has_queue else set())
    assert ("202" in paths["/predict"]["post"]["responses"]) == has_queue
    if has_queue:
        assert schemas["JobDocument"] == struct_schema(JobDocument)
        (part,) = [p for p in paths["/train"]["post"]["parameters"] if p["name"] == "features"]
        assert part["explode"] is False  # ?features=lat,long
    else:
        assert "JobDocument" not in schemas


def test_every_route_is_described(app: Flask, document: Document, has_queue: bool) -> None:
    undescribed = {"pages", "swagger_ui"} | (set() if has_queue else {"jobs"})
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in undescribed or rule.rule == "/v2/":
            continue
        operations = document["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)]
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = operations[method.lower()]
            described = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert described == rule.arguments
            assert operation["summary"]
            assert operation["tags"]


def test_nothing_is_described_that_nobody_refers_to(document: Document) -> None:
    text = msgspec.json.encode(document).decode()
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred == set(document["components"]["schemas"])


def test_a_server_starts_without_redis_and_without_what_describes_it() -> None:
    code = "import sys, service.app; print(*sys.modules)"
    environ = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    late = {"redis", "dramatiq", "apispec", "GPy", "service.web.openapi"}
    assert not late & set(done.stdout.split())
