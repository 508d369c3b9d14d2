"""The API's description, generated from the routes and the option types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from flask import Flask

from service import __version__
from service.model import Model
from service.services import negotiation
from service.services.options import Options
from service.services.problems import MEDIA_TYPE
from service.web import protocolopenapi as protocols
from service.web import schemas

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_BINARY: dict[str, Any] = {"schema": {}}
_ANY: dict[str, Any] = {"schema": {"type": "object"}}

_PREDICT_PROBLEMS = (400, 406, 408, 412, 413, 414, 415, 422, 431, 503)


@lru_cache(maxsize=1)  # a model that is replaced must not stay in memory
def document(app: Flask, model: Model) -> dict[str, Any]:
    """The OpenAPI document of an app that serves `model`."""
    # Imported late: a pod that nobody asks for its documentation does without.
    from apispec import APISpec
    from apispec_webframeworks.flask import FlaskPlugin

    spec = APISpec(
        title="gpserve",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": "Predictions of a trained Gaussian process."},
        servers=[{"url": ".", "description": "Where this document lies, prefix and all"}],
        plugins=[FlaskPlugin()],
    )
    spec.components.schema("Problem", schemas.problem())
    spec.components.schema("Points", schemas.points(model.description.feature_names))
    spec.components.schema("Prediction", schemas.prediction())
    with app.test_request_context():
        for endpoint, operations in _all_operations(app, model, spec).items():
            view = app.view_functions[endpoint]
            summary = (view.__doc__ or "").partition("\n")[0]
            for operation in operations.values():
                operation["summary"] = summary
            spec.path(view=view, operations=operations, app=app)
    described: dict[str, Any] = spec.to_dict()
    described["paths"].update(protocols.paths(model))
    return described


def _all_operations(app: Flask, model: Model, spec: Any) -> dict[str, dict[str, Any]]:
    """The routes by endpoint; those of jobs only where there is a queue."""
    from service.web import jobdescription as description

    operations = _operations(model) | description.version_operations()
    if not app.extensions["gpserve"].settings.redis_url:
        return operations
    for name, schema in description.schemas().items():
        spec.components.schema(name, schema)
    for operation in operations["api.predict"].values():
        operation["parameters"] += [header(name) for name in description.PREFERENCES]
        operation["responses"] |= {"202": description.accepted()} | responses({}, {}, 409, 429)
        operation["responses"]["200"] = _predicted()["200"]
    return operations | description.job_operations()


def _operations(model: Model) -> dict[str, dict[str, Any]]:
    conditional = {"parameters": [header("If-None-Match")], "responses": responses(_ANY, {}, 304)}
    described = {"application/octet-stream": _BINARY}
    return {
        "api.predict": {
            "get": {
                "parameters": _features(model) + _options() + _headers(),
                "responses": _predicted(),
            },
            "post": {
                "parameters": _options() + _headers() + [header("Content-Encoding")],
                "requestBody": _body(model),
                "responses": _predicted(),
            },
        },
        "api.model": {"get": conditional},
        "api.model_file": {
            "get": {
                "parameters": [header("If-None-Match"), header("Range")],
                "responses": responses({}, described, 206, 304, 416),
            }
        },
        "api.healthz": {"get": {"responses": responses(_ANY, {})}},
        "api.readyz": {"get": {"responses": responses(_ANY, {}, 503)}},
        "api.metrics": {"get": {"responses": responses({}, {"text/plain": _TEXT})}},
        "pages.openapi": {"get": {"responses": responses(_ANY, {})}},
    }


def responses(json: dict[str, Any], other: dict[str, Any], *problems: int) -> dict[str, Any]:
    """The answer 200 as JSON or `other` media types, and problem documents."""
    content = {**({negotiation.JSON: json} if json else {}), **other}
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": content}}
    for status in problems:
        media = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[str(status)] = {"description": _SAYS[status]}
        if status >= 400:
            responses[str(status)]["content"] = {**media, negotiation.JSON: _ANY}
    return responses


_SAYS = {
    206: "A part of the file",
    304: "Not modified",
    400: "The request could not be read",
    401: "No bearer token, or a wrong one",
    403: "Writing is off: the server has no token",
    404: "There is nothing of this name",
    406: "No type that Accept names is offered",
    408: "The request did not arrive in time",
    409: "Not now, or not with this state; the detail says why",
    410: "Gone: dismissed, or past its time",
    412: "The model has another version than If-Match names",
    413: "Too large for one request",
    414: "The query string is too long",
    415: "A media type, charset or encoding that is not read",
    416: "The range lies outside the file",
    422: "The points or options cannot be used",
    429: "Over the quota of jobs",
    431: "The header is too large",
    503: "Full or draining; Retry-After says when to come again",
}


def _predicted() -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/Prediction"}}
    other = {
        negotiation.CSV: _TEXT,
        negotiation.NPY: _BINARY,
        negotiation.NDJSON: _TEXT,
    }
    return responses(answer, other, *_PREDICT_PROBLEMS)


def _features(model: Model) -> list[dict[str, Any]]:
    description = model.description
    return [
        {
            "name": name,
            "in": "query",
            "required": True,
            "explode": True,
            "description": f"training range {low:g} to {high:g}; repeat it for a batch",
            "schema": {"type": "array", "items": {"type": "number"}, "minItems": 1},
        }
        for name, (low, high) in zip(
            description.feature_names, description.training_range.tolist(), strict=True
        )
    ]


def _options() -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([Options])
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for name, schema in components["Options"]["properties"].items()
    ]


def _headers() -> list[dict[str, Any]]:
    return [header("If-Match"), header("X-Request-Id")]


def header(name: str) -> dict[str, Any]:
    """A header that may be sent."""
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _body(model: Model) -> dict[str, Any]:
    names = model.description.feature_names
    number = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    form = {"type": "object", "properties": dict.fromkeys(names, number), "required": list(names)}
    upload = {"type": "object", "properties": {"file": {}}, "required": ["file"]}
    content = {
        negotiation.JSON: {"schema": {"$ref": "#/components/schemas/Points"}},
        negotiation.CSV: _TEXT,
        negotiation.NPY: _BINARY,
        "application/x-www-form-urlencoded": {"schema": form},
        "multipart/form-data": {"schema": upload},
    }
    return {"required": True, "content": content}
