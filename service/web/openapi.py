"""The OpenAPI 3.1 document: paths from the routes, schemas from the types of the bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from apispec import APISpec
from apispec_webframeworks.flask import FlaskPlugin
from flask import Flask
from werkzeug.routing import Rule

from service import __version__
from service.jobs.records import JobDocument, Listing
from service.jobs.specs import Training
from service.model import Model
from service.services import umbridge, v2
from service.services.diagnostics import DiagnosticsDocument
from service.services.errors import MEDIA_TYPE, ProblemDocument, UMBridgeErrorDocument, V2Error
from service.services.features import features_of
from service.services.negotiation import CSV, JSON, NDJSON, NPY
from service.services.options import Activation, Options, Publication
from service.services.v2tensors import Inference
from service.services.writing import Prediction
from service.web.access import required_role
from service.web.schemas import (
    REFERENCE,
    Schema,
    expected,
    many,
    object_of,
    points,
    properties,
    ref,
    training_data,
    values_of,
)

Content = dict[str, Schema]
"""The schema of each media type."""

Operation = dict[str, Any]
Operations = dict[str, dict[str, Operation]]
"""Operations by endpoint and method."""

_TEXT: Schema = {"type": "string"}
_BYTES: Schema = {}
_OBJECT: Schema = {"type": "object"}
_OCTETS = "application/octet-stream"
_FORM = "multipart/form-data"
_OK: dict[int, Content] = {200: {JSON: _OBJECT}}

_CALLS: dict[str, tuple[type | None, str]] = {
    "model_info": (None, "name"),
    "input_sizes": (None, "name config"),
    "output_sizes": (None, "name config"),
    "evaluate": (umbridge.Evaluation, "name input config"),
    "gradient": (umbridge.Derivative, "name outWrt inWrt input sens config"),
    "apply_jacobian": (umbridge.Derivative, "name outWrt inWrt input vec config"),
    "apply_hessian": (umbridge.Derivative, "name outWrt inWrt1 inWrt2 input sens vec config"),
}
"""The answer of each UM-Bridge call, and the members of `umbridge.Call` that it uses."""

_REQUIRED = ("name", "input", "sens", "vec")
"""Members without which a call that uses them is answered 400."""

_HEADERS: dict[str, str] = {
    "Content-Encoding": "`gzip` or `deflate` for a compressed body",
    "Idempotency-Key": "A repeated request with the same key gets the job of the first one",
    "If-Match": 'Answer only with this version of the model, for example `"ae7a26976731"`',
    "If-None-Match": "Answer 304 if the model still has this version",
    "Prefer": "`respond-async` asks for a job; `wait=10` allows one after 10 seconds",
    "Range": "The bytes of the file to return",
    "X-Request-Id": "Returned in the answer and written to the log",
    v2.HEADER_LENGTH: "The length of the JSON in bytes; the tensors follow it",
}

_FORMS: dict[str, type] = {"v2": V2Error, "umbridge": UMBridgeErrorDocument}
"""The errors of the other protocols, by blueprint."""

_KEY_ONLY = ("jobs.list_jobs",)
"""Operations that need a key, whatever its role."""

_STATUSES = {
    201: "Stored",
    202: "Accepted as a job",
    206: "Part of the file",
    304: "Not modified",
    400: "Malformed request",
    401: "A key is required, or the bearer token is wrong",
    403: "The key lacks the role, or what needs a key is disabled",
    404: "Not found",
    406: "None of the types in Accept is available",
    408: "The request did not arrive in time",
    409: "Not possible in the current state",
    410: "The job was cancelled, or its result has expired",
    412: "The model has another version than If-Match says",
    413: "Too large for one request",
    414: "The query string is too long",
    415: "Unsupported media type, charset or encoding",
    416: "The range is outside the file",
    422: "Invalid points or options",
    429: "Too many requests, points, open jobs or bytes of inputs; see Retry-After",
    431: "The header is too large",
    500: "The model's output is not finite",
    503: "Overloaded, shutting down or unavailable; see Retry-After",
    507: "The storage is full",
}


@lru_cache(maxsize=1)  # a replaced model must not stay in memory
def document(app: Flask, model: Model) -> dict[str, Any]:
    """Return the OpenAPI document of an app that serves `model`."""
    queue = bool(app.extensions["gpserve"].settings.redis_url)
    spec = APISpec(
        title="gpserve",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": "Predictions of a trained Gaussian process, with uncertainty."},
        servers=[{"url": ".", "description": "The server of this document, with any path prefix"}],
    )
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    for name, schema in _schemas(model, queue).items():
        spec.components.schema(name, schema)
    operations: dict[str, tuple[str, dict[str, Operation]]] = {}
    for tag, by_endpoint in _tags(model, queue).items():
        spec.tag({"name": tag})
        operations |= {endpoint: (tag, methods) for endpoint, methods in by_endpoint.items()}
    for rule in app.url_map.iter_rules():
        if rule.endpoint in operations and not rule.rule.endswith("/"):
            tag, methods = operations[rule.endpoint]
            view = app.view_functions[rule.endpoint]
            described = {name: _of(rule, view, tag, each) for name, each in methods.items()}
            spec.path(FlaskPlugin.flaskpath2openapi(rule.rule), operations=described)
    written: dict[str, Any] = spec.to_dict()
    return written


def _of(rule: Rule, view: Callable[..., Any], tag: str, operation: Operation) -> Operation:
    """Return the operation of one route: its view's docstring and the parameters in its path."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("id", "name", "version")
        if name in rule.arguments
    ]
    return {
        "tags": [tag],
        "summary": (view.__doc__ or "").partition("\n")[0].rstrip("."),
        **operation,
        **_access(rule.endpoint, operation),
        "parameters": parameters + operation["parameters"],
    }


def _access(endpoint: str, operation: Operation) -> Operation:
    """Return which credentials an operation takes, and its refusals of callers."""
    role = required_role(endpoint)
    if role is None:
        return {}
    token: Schema = {"token": []}
    form = _FORMS.get(endpoint.partition(".")[0], ProblemDocument)
    refusals = _operation({}, (401, 403, 413, 429), error=form)["responses"]
    needs_key = role in ("train", "admin") or endpoint in _KEY_ONLY
    return {
        "security": [token] if needs_key else [{}, token],
        "responses": dict(sorted((refusals | operation["responses"]).items())),
    }


def _schemas(model: Model, queue: bool) -> dict[str, Schema]:
    structs: list[type] = [Prediction, DiagnosticsDocument, ProblemDocument, V2Error]
    structs += [UMBridgeErrorDocument]
    structs += [Inference, umbridge.Config]
    structs += [answer for answer, _ in _CALLS.values() if answer]
    structs += [JobDocument] if queue else []
    _, schemas = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    schemas |= points(features_of(model))
    return schemas | training_data() if queue else schemas


def _tags(model: Model, queue: bool) -> dict[str, Operations]:
    tags = {
        "Predictions": {"api.predict": _predict(model, queue)},
        "Model": _model(),
        "Jobs": _jobs() if queue else {},
        "Open Inference Protocol v2": _v2(),
        "UM-Bridge 1.0": _umbridge(model),
        "Monitoring": _monitoring(),
    }
    return {tag: operations for tag, operations in tags.items() if operations}


def _predict(model: Model, queue: bool) -> dict[str, Operation]:
    each = values_of(features_of(model))
    repeated = {name: many(schema) for name, schema in each.items()}
    low_high = model.description.training_range.tolist()
    features = [
        {
            "name": name,
            "in": "query",
            "required": True,
            "explode": True,
            "description": f"{expected(each[name], *ends)}; repeat it for several points",
            "schema": schema,
        }
        for (name, schema), ends in zip(repeated.items(), low_high, strict=True)
    ]
    body = {
        JSON: ref("Points"),
        CSV: _TEXT,
        NPY: _BYTES,
        "application/x-www-form-urlencoded": object_of(repeated),
        _FORM: object_of({"file": {}}),
    }
    parameters = [*_query(Options), *_headers("If-Match", "X-Request-Id")]
    problems = [400, 406, 408, 412, 413, 414, 415, 422, 431, 503]
    if queue:
        parameters += _headers("Prefer", "Idempotency-Key")
        problems += [409]
    answers = {200: {JSON: ref("Prediction"), CSV: _TEXT, NPY: _BYTES, NDJSON: _TEXT}}
    if queue:
        answers[202] = {JSON: ref("JobDocument")}
    return {
        "get": _operation(answers, problems, [*features, *parameters]),
        "post": _operation(answers, problems, [*parameters, *_headers("Content-Encoding")], body),
    }


def _model() -> Operations:
    conditional = _headers("If-Match", "If-None-Match")
    file: dict[int, Content] = {200: {_OCTETS: _BYTES}, 206: {_OCTETS: _BYTES}, 304: {}}
    activate = _operation(_OK, [400, 404, 409, 422, 503], _query(Activation))
    diagnosed: dict[int, Content] = {200: {JSON: ref("DiagnosticsDocument"), CSV: _TEXT}, 304: {}}
    publish = _operation(
        {201: {JSON: _OBJECT}},
        [400, 408, 409, 413, 415, 422, 431, 503, 507],
        _query(Publication),
        {_OCTETS: _BYTES},
    )
    return {
        "api.model": {"get": _operation(_OK | {304: {}}, [412], conditional)},
        "api.model_file": {"get": _operation(file, [412, 416], [*conditional, *_headers("Range")])},
        "api.model_diagnostics": {"get": _operation(diagnosed, [404, 406, 412], conditional)},
        "versions.models": {"get": _operation(_OK, [503])},
        "versions.version": {"get": _operation(_OK, [404, 503])},
        "versions.publish": {"post": publish},
        "versions.activate": {"post": activate},
    }


def _jobs() -> Operations:
    job = {JSON: ref("JobDocument")}
    jobs = {"type": "array", "items": ref("JobDocument")}
    jobs = object_of({"jobs": jobs, "links": {"type": "array", "items": {}}})
    train = _operation(
        {202: job},
        [400, 408, 409, 413, 415, 422, 431, 503],
        [*_query(Training), *_headers("Idempotency-Key")],
        {CSV: _TEXT, JSON: ref("TrainingData"), _FORM: object_of({"file": {}})},
    )
    listed = _operation({200: {JSON: jobs}}, [422, 503], _query(Listing))
    prediction_or_model = {"anyOf": [ref("Prediction"), _OBJECT]}
    result = {JSON: prediction_or_model, CSV: _TEXT, NPY: _BYTES, NDJSON: _TEXT}
    return {
        "jobs.train": {"post": train},
        "jobs.list_jobs": {"get": listed},
        "jobs.job": {"get": _operation({200: job}, [404, 503])},
        "jobs.dismiss_job": {"delete": _operation({200: job}, [404, 409, 503])},
        "jobs.job_results": {"get": _operation({200: result}, [404, 406, 410, 422, 503])},
    }


def _v2() -> Operations:
    def get(*problems: int) -> dict[str, Operation]:
        return {"get": _operation(_OK, problems, error=V2Error)}

    ready = _operation(_OK | {503: {JSON: _OBJECT}}, [])
    of_model = _operation(_OK | {503: {JSON: _OBJECT}}, [404], error=V2Error)
    index = {"type": "array", "items": _OBJECT}
    infer = _operation(
        {200: {JSON: _OBJECT, _OCTETS: _BYTES}},
        [400, 404, 408, 412, 413, 415, 431, 503],
        _headers(v2.HEADER_LENGTH, "If-Match", "Content-Encoding"),
        {JSON: ref("Inference"), _OCTETS: _BYTES},
        V2Error,
    )
    operations = {
        "v2.server_metadata": get(),
        "v2.live": {"get": _operation(_OK, [])},
        "v2.ready": {"get": ready},
        "v2.statistics": get(),
        "v2.repository_index": {"post": _operation({200: {JSON: index}}, [], error=V2Error)},
    }
    for of_version in ("", "_of_version"):
        operations |= {
            f"v2.model_metadata{of_version}": get(404),
            f"v2.model_ready{of_version}": {"get": of_model},
            f"v2.model_statistics{of_version}": get(404),
            f"v2.infer{of_version}": {"post": infer},
        }
    return operations


def _umbridge(model: Model) -> Operations:
    info = _operation(_OK, [], error=UMBridgeErrorDocument)
    operations: Operations = {"umbridge.info": {"get": info}}
    members = properties(umbridge.Call)
    members["name"]["enum"] = umbridge.model_names(model)
    for call, (answer, used) in _CALLS.items():
        names = used.split()
        required = {name: members[name] for name in names if name in _REQUIRED}
        optional = {name: members[name] for name in names if name not in _REQUIRED}
        operation = _operation(
            _ok(answer),
            [400, 408, 412, 413, 415, 431, 500, 503],
            _headers("If-Match") if "input" in names else (),
            {JSON: object_of(required, optional)},
            UMBridgeErrorDocument,
        )
        operations[f"umbridge.{call}"] = {"post": operation}
    return operations


def _monitoring() -> Operations:
    return {
        "api.healthz": {"get": _operation(_OK, [])},
        "api.readyz": {"get": _operation(_OK | {503: {JSON: _OBJECT}}, [])},
        "api.metrics": {"get": _operation({200: {"text/plain": _TEXT}}, [])},
        "pages.openapi": {"get": _operation(_OK, [])},
    }


def _operation(
    answers: dict[int, Content],
    problems: Iterable[int],
    parameters: Sequence[Schema] = (),
    body: Content | None = None,
    error: type = ProblemDocument,
) -> Operation:
    """Return an operation with its answers by status, and its problems in the form of `error`."""
    media_type = MEDIA_TYPE if error is ProblemDocument else JSON
    problem = {media_type: ref(error.__name__)}
    contents = answers | dict.fromkeys(problems, problem)
    operation: Operation = {
        "parameters": list(parameters),
        "responses": {
            str(status): {"description": _STATUSES.get(status, "OK"), **_content(content)}
            for status, content in sorted(contents.items())
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, **_content(body)}
    return operation


def _ok(answer: type | None) -> dict[int, Content]:
    return {200: {JSON: ref(answer.__name__)}} if answer else _OK


def _content(content: Content) -> dict[str, Any]:
    schemas = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return {"content": schemas} if schemas else {}


def _query(struct: type[msgspec.Struct]) -> list[Schema]:
    """Return the query parameters that are read into a struct; lists are separated by commas."""
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", ""),
            "schema": schema,
            **({"explode": False} if schema.get("type") == "array" else {}),
        }
        for name, schema in properties(struct).items()
    ]


def _headers(*names: str) -> list[Schema]:
    return [
        {"name": name, "in": "header", "description": _HEADERS[name], "schema": _TEXT}
        for name in names
    ]
