"""The two protocols in the API's description."""

from __future__ import annotations

from typing import Any

from service.model import Model
from service.services import v2
from service.services.umbridge import model_names

Operation = dict[str, Any]

_JSON = "application/json"
_BYTES = "application/octet-stream"
_TEXT: dict[str, Any] = {"type": "string"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
_VECTORS: dict[str, Any] = {"type": "array", "items": _NUMBERS}
_INDEX: dict[str, Any] = {"type": "integer"}
_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "noise": {"type": "boolean"}},
    "additionalProperties": False,
}

_PIN: dict[str, Any] = {"name": "If-Match", "in": "header", "schema": _TEXT}

_CALL_MEMBERS: dict[str, dict[str, Any]] = {
    "/ModelInfo": {},
    "/InputSizes": {"config": _CONFIG},
    "/OutputSizes": {"config": _CONFIG},
    "/Evaluate": {"input": _VECTORS, "config": _CONFIG},
    "/Gradient": {"outWrt": _INDEX, "inWrt": _INDEX, "sens": _NUMBERS},
    "/ApplyJacobian": {"outWrt": _INDEX, "inWrt": _INDEX, "vec": _NUMBERS},
    "/ApplyHessian": {
        "outWrt": _INDEX,
        "inWrt1": _INDEX,
        "inWrt2": _INDEX,
        "sens": _NUMBERS,
        "vec": _NUMBERS,
    },
}

_SAYS = {
    "Info": "UM-Bridge: list the models",
    "ModelInfo": "UM-Bridge: say what a model supports",
    "InputSizes": "UM-Bridge: say how long each input vector is",
    "OutputSizes": "UM-Bridge: say how long each output vector is",
    "Evaluate": "UM-Bridge: predict",
    "Gradient": "UM-Bridge: multiply the transposed Jacobian with `sens`",
    "ApplyJacobian": "UM-Bridge: multiply the Jacobian with `vec`",
    "ApplyHessian": "UM-Bridge: multiply the Hessian, weighted by `sens`, with `vec`",
}


def paths(model: Model) -> dict[str, dict[str, Operation]]:
    """The operations of each path that the protocols add."""
    return {**_umbridge(model), **_v2()}


def _umbridge(model: Model) -> dict[str, dict[str, Operation]]:
    error = {"error": _object(type=_TEXT, message=_TEXT)}
    info = _operation(_SAYS["Info"], _object(protocolVersion={"type": "number"}), error)
    described: dict[str, dict[str, Operation]] = {"/Info": {"get": info}}
    name = {"type": "string", "enum": model_names(model)}
    for path, members in _CALL_MEMBERS.items():
        if "sens" in members or "vec" in members:
            members = {**members, "input": _VECTORS, "config": _CONFIG}
        schema = {"type": "object", "required": ["name"], "properties": {"name": name, **members}}
        answer: dict[str, Any] = {"type": "object"}
        problems = (400, 408, 412, 413, 415, 431, 500, 503)
        operation = _operation(_SAYS[path[1:]], answer, error, *problems)
        operation["parameters"] = [_PIN] if "input" in members else []
        operation["requestBody"] = _body({_JSON: {"schema": schema}})
        described[path] = {"post": operation}
    return described


def _v2() -> dict[str, dict[str, Operation]]:
    error = {"error": _TEXT}
    described: dict[str, dict[str, Operation]] = {}

    def get(path: str, summary: str, *problems: int) -> None:
        operation = _operation(f"v2: {summary}", {"type": "object"}, error, *problems)
        described[path] = {"get": {**operation, "parameters": _path_parameters(path)}}

    get("/v2", "describe the server")
    get("/v2/health/live", "say that the process lives")
    get("/v2/health/ready", "say whether requests are welcome", 503)
    get("/v2/models/stats", "count what all models have predicted")
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        get(path, "describe the model's inputs and outputs", 404)
        get(path + "/ready", "say whether the model is ready", 404, 503)
        get(path + "/stats", "count what the model has predicted", 404)
        described[path + "/infer"] = {"post": _infer(path + "/infer", error)}
    index = _operation("v2: list the models", {"type": "array", "items": {}}, error)
    described["/v2/repository/index"] = {"post": index}
    return described


def _infer(path: str, error: dict[str, Any]) -> Operation:
    problems = (400, 404, 408, 412, 413, 415, 431, 503)
    operation = _operation("v2: predict", {"type": "object"}, error, *problems)
    operation["responses"]["200"]["content"][_BYTES] = {"schema": {}}
    length = {"name": v2.HEADER_LENGTH, "in": "header", "schema": {"type": "integer"}}
    operation["parameters"] = [*_path_parameters(path), length, _PIN]
    tensor = _object(
        name=_TEXT,
        shape={"type": "array", "items": _INDEX},
        datatype={"type": "string", "enum": ["FP64", "FP32"]},
        data={"type": "array", "items": {}},
    )
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": _TEXT, "inputs": {"type": "array", "items": tensor}},
    }
    operation["requestBody"] = _body({_JSON: {"schema": schema}, _BYTES: {"schema": {}}})
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("name", "version")
        if f"{{{name}}}" in path
    ]


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _operation(
    summary: str, answer: dict[str, Any], error: dict[str, Any], *problems: int
) -> Operation:
    responses = {"200": {"description": "The answer", "content": {_JSON: {"schema": answer}}}}
    said = {"type": "object", "properties": error}
    for status in problems:
        content = {_JSON: {"schema": said}, "application/problem+json": {"schema": {}}}
        responses[str(status)] = {"description": "In the protocol's form", "content": content}
    return {"summary": summary, "responses": responses}
