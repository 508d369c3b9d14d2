"""JSON schemas of what callers send: points for the served model, and training data."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from service.jobs.specs import Training
from service.services.features import Features, word_of
from service.services.options import Options

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": REFERENCE.format(name=name)}


def properties(struct: type[msgspec.Struct]) -> dict[str, Schema]:
    """Return the schema of each field that a request may set."""
    _, schemas = msgspec.json.schema_components([struct], ref_template=REFERENCE)
    properties = schemas[struct.__name__]["properties"]
    return {name: properties[name] for name in struct.__struct_encode_fields__}


def values_of(features: Features) -> dict[str, Schema]:
    """Return the schema of each feature's value: a number, or the words of a category.

    A word that is a number or a boolean may be sent as one.
    """
    values: dict[str, Schema] = {}
    for name in features.names:
        words = list(features.codes.get(name, ()))
        plain = [value for value in map(_plain, words) if value is not None]
        values[name] = {"enum": words + plain} if words else {"type": "number"}
    return values


def _plain(word: str) -> float | bool | None:
    """Return the number or the boolean that a word is, or None."""
    try:
        value = json.loads(word.lower())
    except ValueError:
        return None
    if isinstance(value, bool):
        return value
    return value if isinstance(value, int | float) and word_of(value) == word else None


def expected(value: Schema, low: float, high: float) -> str:
    """Say which values of a feature the model knows."""
    return "one of its words" if "enum" in value else f"training range {low:g} to {high:g}"


def many(value: Schema) -> Schema:
    """Return the schema of a list of values."""
    return {"type": "array", "items": value, "minItems": 1}


def points(features: Features) -> dict[str, Schema]:
    """Return the four shapes of points in JSON, of which objects may have options as well.

    A point in a list has a schema of its own name, without which generators of clients skip it.
    """
    values = values_of(features)
    value: Schema = {"anyOf": [*values.values()]} if features.codes else {"type": "number"}
    deeper: Schema = {"type": "array", "items": {"type": "array", "items": {}}, "minItems": 1}
    options = properties(Options)
    item = {"anyOf": [value, many(value), deeper, ref("Point")]}
    points = {"type": "array", "minItems": 1, "items": item}
    shapes = [
        object_of(values, options),
        object_of({name: many(each) for name, each in values.items()}, options),
        {"type": "array", "items": ref("Point"), "minItems": 1},
        object_of({"points": points}, options),
    ]
    return {"Point": object_of(values), "Points": {"oneOf": shapes}}


def training_data() -> dict[str, Schema]:
    """Return the two shapes of training data in JSON, which may have options as well."""
    cells: Schema = {"type": "array", "items": {"type": ["number", "string", "boolean", "null"]}}
    columns = ref("TrainingColumns")
    inputs = {"oneOf": [{"type": "array", "items": cells}, columns]}
    options = properties(Training)
    shapes = [
        object_of({"data": columns}, options),
        object_of({"inputs": inputs, "output": cells}, options),
    ]
    return {
        "TrainingColumns": {"type": "object", "additionalProperties": cells},
        "TrainingData": {"oneOf": shapes},
    }


def object_of(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these members."""
    return {
        "type": "object",
        "required": list(required),
        "properties": (optional or {}) | required,
    }
