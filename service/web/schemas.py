"""JSON schemas of what goes in and out: points, predictions, problems."""

from __future__ import annotations

from typing import Any


def points(names: tuple[str, ...]) -> dict[str, Any]:
    """The ways to write points with features of these names."""
    number = {"type": "number"}
    many = {"type": "array", "items": number, "minItems": 1}
    point = {"type": "object", "properties": dict.fromkeys(names, number), "required": [*names]}
    columns = {"type": "object", "properties": dict.fromkeys(names, many), "required": [*names]}
    rows = {"oneOf": [many, point]}
    matrix = {"points": {"type": "array", "minItems": 1, "items": rows}}
    return {
        "oneOf": [
            point,
            columns,
            {"type": "array", "items": point, "minItems": 1},
            {"type": "object", "properties": matrix, "required": ["points"]},
        ]
    }


def prediction() -> dict[str, Any]:
    """The answer; which members it has depends on the options."""
    anything: dict[str, Any] = {}  # the depth of a list is that of the points
    value = {"type": ["number", "array", "null"], "items": anything}
    reason = {"row": {"type": "integer"}, "reason": {"type": "string"}}
    bad_row = {"type": "object", "required": [*reason], "properties": reason}
    numbers = dict.fromkeys(("mean", "variance", "lower", "upper", "covariance"), value)
    return {
        "type": "object",
        "required": ["mean", "variance"],
        "properties": {
            **numbers,
            "gradient": {"type": "object"},
            "samples": {"type": "array", "items": anything},
            "extrapolated": {"type": ["boolean", "array"], "items": anything},
            "errors": {"type": "array", "items": bad_row},
        },
    }


def problem() -> dict[str, Any]:
    """A problem document (RFC 9457) with the members that say where."""
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
