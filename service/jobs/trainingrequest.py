"""From a request to a training: its options, its table, and what is refused at once."""

from __future__ import annotations

import csv
import io
import math
from typing import Any, BinaryIO, cast

import msgspec
from flask import Request

from service.jobs.plans import Job
from service.jobs.specs import INPUT, Training
from service.jobs.training import read_table
from service.jobs.uploads import refuse_truncated
from service.services.body import open_body, unpacked
from service.services.problems import Problem, malformed, too_large, unusable
from service.services.reading import only_file
from service.settings import Settings

_TABLES = ("text/csv", "application/csv", "text/plain", "application/octet-stream")


def keep_training(request: Request, job: Job, settings: Settings) -> Training:
    """Store the table of a training request, once it has been seen to be able to train.

    Raises
    ------
    Problem
        400, 413, 415, 422 with reasons; 422 when the served model is of another kind.
    """
    if settings.model_class != "service.gpr:GPR":
        raise unusable("only Gaussian processes are trained here; another model class is served")
    data, options = _read(request, settings.max_json_bytes)
    refuse_truncated(request)
    spec = _spec(options)
    table = read_table(data, spec)
    job.write(INPUT, data)
    return msgspec.structs.replace(spec, target=table.output_name)


def _read(request: Request, limit: int) -> tuple[bytes, dict[str, Any]]:
    options: dict[str, Any] = dict(request.args.items())
    kind = request.mimetype
    if kind == "multipart/form-data":
        try:
            options |= dict(request.form.items())
        except ValueError as error:
            raise malformed(f"the form cannot be read: {error}") from None
        only_file(request.files)
        upload = cast(BinaryIO, request.files["file"].stream)
        return _bounded(unpacked(upload, limit), limit), options
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    data = _bounded(open_body(cast(BinaryIO, request.stream), encoding, limit), limit)
    if kind in ("application/json", ""):
        return _of_json(data, options)
    if kind in _TABLES:
        return data, options
    said = "text/csv, application/json, multipart/form-data with a part 'file'"
    raise Problem(415, f"Content-Type {kind[:80]!r} is not read here; these are: {said}")


def _bounded(body: BinaryIO, limit: int) -> bytes:
    data = body.read(limit + 1)
    if len(data) > limit:
        raise too_large(f"training data of more than {limit} bytes", limit=limit)
    return data


def _of_json(data: bytes, options: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """JSON as ``{"data": {column: […]}, …}`` or ``{"inputs": [[…]], "output": […], …}``."""
    try:
        members = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(f"the body is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise unusable("the JSON body must be an object", path="$")
    options |= members
    if "inputs" in options and "output" in options:
        columns = _named(options, options.pop("inputs"), options.pop("output"))
    else:
        columns = options.pop("data", None)
    if not isinstance(columns, dict) or not columns:
        said = (
            'the body must have "data": {column: […], …}, or "inputs": [[…], …] and "output": […]'
        )
        raise unusable(said, path="$.data")
    return _table(columns), options


def _named(options: dict[str, Any], inputs: Any, output: Any) -> dict[str, Any]:
    if isinstance(inputs, dict):
        columns = dict(inputs)
    elif isinstance(inputs, list) and inputs and all(isinstance(row, list) for row in inputs):
        width = len(inputs[0])
        for i, row in enumerate(inputs):
            if len(row) != width:
                raise unusable(f"a row has {len(row)} numbers, not {width}", path=f"$.inputs[{i}]")
        columns = {f"x{k + 1}": [row[k] for row in inputs] for k in range(width)}
    else:
        raise unusable("inputs must be a list of rows, or an object of columns", path="$.inputs")
    options["target"] = options.get("target") or "y"
    return {**columns, options["target"]: output}


def _table(columns: dict[str, Any]) -> bytes:
    lengths = {name: len(c) if isinstance(c, list) else -1 for name, c in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        said = ", ".join(f"{name}: {n if n >= 0 else 'no list'}" for name, n in lengths.items())
        raise unusable(f"the columns must be lists of equal lengths: {said[:200]}", path="$")
    for name, column in columns.items():
        for i, value in enumerate(column):
            if type(value) not in (int, float) or not math.isfinite(value):
                raise unusable(f"{name}[{i}] is no finite number", path=f"$.{name}[{i}]")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _spec(options: dict[str, Any]) -> Training:
    features = options.get("features")
    if isinstance(features, str):
        options["features"] = [part.strip() for part in features.split(",") if part.strip()]
    try:
        return msgspec.convert(options, Training, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise unusable(f"option {path.rstrip('`')!r}: {reason}", option=path.rstrip("`")) from None
