"""The API's description and its pages, generated from the routes and the option types."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import flask
import msgspec
from flask import Blueprint, Flask, current_app
from flask_swagger_ui import get_swaggerui_blueprint

from service import __version__
from service.model import Model
from service.protocols import openapi as protocols
from service.services import negotiation
from service.services.options import Options
from service.services.problems import MEDIA_TYPE

pages = Blueprint("pages", __name__)

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_BINARY: dict[str, Any] = {"schema": {}}
_ANY: dict[str, Any] = {"schema": {"type": "object"}}

_PREDICT_PROBLEMS = (400, 406, 408, 412, 413, 414, 415, 422, 431, 503)


@pages.get("/openapi.json")
def openapi() -> flask.Response:
    """Describe the API as OpenAPI 3.1."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return flask.jsonify(document(app, app.extensions["gpserve"].live.model))


def swagger() -> Blueprint:
    """The pages that show the document, with scripts and styles from the package."""
    return cast(
        Blueprint,
        get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "gpserve"}),
    )


@cache
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
        plugins=[FlaskPlugin()],
    )
    spec.components.schema("Problem", _problem_schema())
    spec.components.schema("Points", _points_schema(model.description.feature_names))
    spec.components.schema("Prediction", _prediction_schema())
    with app.test_request_context():
        for endpoint, operations in _operations(model).items():
            view = app.view_functions[endpoint]
            summary = (view.__doc__ or "").partition("\n")[0]
            for operation in operations.values():
                operation["summary"] = summary
            spec.path(view=view, operations=operations, app=app)
    described: dict[str, Any] = spec.to_dict()
    described["paths"].update(protocols.paths(model))
    return described


def _operations(model: Model) -> dict[str, dict[str, Any]]:
    conditional = {"parameters": [_header("If-None-Match")], "responses": _responses(_ANY, {}, 304)}
    described = {"application/octet-stream": _BINARY}
    return {
        "api.predict": {
            "get": {
                "parameters": _features(model) + _options() + _headers(),
                "responses": _predicted(),
            },
            "post": {
                "parameters": _options() + _headers() + [_header("Content-Encoding")],
                "requestBody": _body(model),
                "responses": _predicted(),
            },
        },
        "api.model": {"get": conditional},
        "api.model_file": {
            "get": {
                "parameters": [_header("If-None-Match"), _header("Range")],
                "responses": _responses({}, described, 206, 304, 416),
            }
        },
        "api.healthz": {"get": {"responses": _responses(_ANY, {})}},
        "api.readyz": {"get": {"responses": _responses(_ANY, {}, 503)}},
        "api.metrics": {"get": {"responses": _responses({}, {"text/plain": _TEXT})}},
        "pages.openapi": {"get": {"responses": _responses(_ANY, {})}},
    }


def _responses(json: dict[str, Any], other: dict[str, Any], *problems: int) -> dict[str, Any]:
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
    406: "No type that Accept names is offered",
    408: "The request did not arrive in time",
    412: "The model has another version than If-Match names",
    413: "Too large for one request",
    414: "The query string is too long",
    415: "A media type, charset or encoding that is not read",
    416: "The range lies outside the file",
    422: "The points or options cannot be used",
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
    return _responses(answer, other, *_PREDICT_PROBLEMS)


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
    return [_header("If-Match"), _header("X-Request-Id")]


def _header(name: str) -> dict[str, Any]:
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


def _points_schema(names: tuple[str, ...]) -> dict[str, Any]:
    number = {"type": "number"}
    many = {"type": "array", "items": number, "minItems": 1}
    point = {"type": "object", "properties": dict.fromkeys(names, number), "required": [*names]}
    columns = {"type": "object", "properties": dict.fromkeys(names, many), "required": [*names]}
    matrix = {"points": {"type": "array", "minItems": 1, "items": many}}
    return {
        "oneOf": [
            point,
            columns,
            {"type": "array", "items": point, "minItems": 1},
            {"type": "object", "properties": matrix, "required": ["points"]},
        ]
    }


def _prediction_schema() -> dict[str, Any]:
    value = {"type": ["number", "array", "null"]}
    numbers = dict.fromkeys(("mean", "variance", "lower", "upper", "covariance"), value)
    return {
        "type": "object",
        "required": ["mean", "variance"],
        "properties": {
            **numbers,
            "gradient": {"type": "object"},
            "samples": {"type": "array"},
            "extrapolated": {"type": ["boolean", "array"]},
            "errors": {"type": "array"},
        },
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "request_id": text,
            "line": {"type": "integer"},
            "column": text,
            "path": text,
            "feature": text,
        },
    }
