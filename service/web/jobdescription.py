"""What the OpenAPI document says of jobs and versions."""

from __future__ import annotations

from typing import Any

import msgspec

from service.jobs.records import Listing
from service.jobs.specs import Training
from service.services import negotiation
from service.web.openapi import header, responses

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_OBJECT: dict[str, Any] = {"schema": {"type": "object"}}
_JOB: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Job"}}

PREFERENCES = ("Prefer", "Idempotency-Key")
"""Headers of a request that may become a job."""


def version_operations() -> dict[str, dict[str, Any]]:
    """The routes of the versions, by endpoint."""
    problems = (400, 401, 403, 404, 409, 503)
    return {
        "versions.models": {"get": {"responses": responses(_OBJECT, {}, 503)}},
        "versions.activate": {
            "post": {
                "parameters": [_path("version"), header("Authorization")],
                "responses": responses(_OBJECT, {}, *problems),
            }
        },
    }


def job_operations() -> dict[str, dict[str, Any]]:
    """The routes of the jobs, by endpoint."""
    other = dict.fromkeys((negotiation.CSV, negotiation.NDJSON), _TEXT)
    other[negotiation.NPY] = {"schema": {}}
    return {
        "jobs.train": {"post": _train()},
        "jobs.list_jobs": {
            "get": {
                "parameters": [*_query(Listing), header("Authorization")],
                "responses": responses(_OBJECT, {}, 422, 503),
            }
        },
        "jobs.job": {
            "get": {"parameters": [_path("id")], "responses": responses(_JOB, {}, 404, 503)}
        },
        "jobs.dismiss_job": {
            "delete": {"parameters": [_path("id")], "responses": responses(_JOB, {}, 404, 409, 503)}
        },
        "jobs.job_results": {
            "get": {
                "parameters": [_path("id")],
                "responses": responses(_OBJECT, other, 404, 406, 410, 422, 503),
            }
        },
    }


def accepted() -> dict[str, Any]:
    """The answer 202."""
    return {"description": "Accepted as a job", "content": {negotiation.JSON: _JOB}}


def _train() -> dict[str, Any]:
    problems = (400, 401, 403, 408, 409, 413, 415, 422, 429, 431, 503)
    said = responses({}, {}, *problems)
    del said["200"]
    upload = {"type": "object", "properties": {"file": {}}, "required": ["file"]}
    content = {
        negotiation.CSV: _TEXT,
        negotiation.JSON: {"schema": {"$ref": "#/components/schemas/TrainingData"}},
        "multipart/form-data": {"schema": upload},
    }
    return {
        "parameters": [*_query(Training), header("Authorization"), header("Idempotency-Key")],
        "requestBody": {"required": True, "content": content},
        "responses": {"202": accepted(), **said},
    }


def _query(of: type[Training | Listing]) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([of])
    properties = components[of.__name__]["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", ""),
            "schema": {"type": "string"} if name == "features" else schema,
        }
        for name, schema in properties.items()
        if name != "type"
    ]


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def schemas() -> dict[str, dict[str, Any]]:
    """Schemas of the job document and of training data as JSON."""
    text = {"type": "string"}
    numbers = {"type": "array", "items": {"type": "number"}}
    columns = {"type": "object", "additionalProperties": numbers}
    link = {
        "type": "object",
        "properties": dict.fromkeys(("rel", "href", "type"), text),
        "required": ["rel", "href"],
    }
    job = {
        "jobID": text,
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "type": {"const": "process"},
        "processID": {"enum": ["predict", "train"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "message": text,
        **dict.fromkeys(("created", "updated", "started", "finished"), text),
        "points": {"type": "object"},
        "version": text,
        "problem": {"type": "object"},
        "links": {"type": "array", "items": link},
    }
    required = ["jobID", "status", "type", "processID", "progress", "message", "created", "links"]
    inputs = {"oneOf": [{"type": "array", "items": numbers}, columns]}
    return {
        "Job": {"type": "object", "required": required, "properties": job},
        "TrainingData": {
            "oneOf": [
                {"type": "object", "required": ["data"], "properties": {"data": columns}},
                {
                    "type": "object",
                    "required": ["inputs", "output"],
                    "properties": {"inputs": inputs, "output": numbers},
                },
            ]
        },
    }
