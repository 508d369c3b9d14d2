"""From a request to a training: its options, its table, and what is refused at once."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import msgspec
from flask import Request

from service.jobs.blobs import Job
from service.jobs.inputs import refuse_truncated
from service.jobs.specs import INPUT, Training
from service.jobs.training import read_table
from service.modelname import check_model_name
from service.services.body import open_body, read_whole, refuse_larger, unpacked
from service.services.problems import Problem, malformed, unusable
from service.services.reading import only_file
from service.services.trainingjson import table_of_json
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
    too_much = f"training data of more than {limit} bytes"
    refuse_larger(request.content_length, limit, too_much)
    options: dict[str, Any] = dict(request.args.items())
    kind = request.mimetype
    if kind == "multipart/form-data":
        try:
            options |= dict(request.form.items())
        except ValueError as error:
            raise malformed(f"the form cannot be read: {error}") from None
        only_file(request.files)
        upload = cast(BinaryIO, request.files["file"].stream)
        return read_whole(unpacked(upload, limit), limit, too_much), options
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    body = open_body(cast(BinaryIO, request.stream), encoding, limit)
    data = read_whole(body, limit, too_much)
    if kind in ("application/json", ""):
        table, members = table_of_json(data)
        return table, options | members
    if kind in _TABLES:
        return data, options
    said = "text/csv, application/json, multipart/form-data with a part 'file'"
    raise Problem(415, f"Content-Type {kind[:80]!r} is not read here; these are: {said}")


def _spec(options: dict[str, Any]) -> Training:
    features = options.get("features")
    if isinstance(features, str):
        options["features"] = [part.strip() for part in features.split(",") if part.strip()]
    unknown = options.keys() - set(Training.__struct_fields__)
    if unknown:
        name, known = min(unknown), ", ".join(Training.__struct_fields__)
        raise unusable(f"no option is called {name[:40]!r}; there are {known}", option=name[:40])
    try:
        spec = msgspec.convert(options, Training, strict=False)
        check_model_name(spec.name)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        option = path.rstrip("`")
        raise unusable(f"option {option!r}: {reason}", option=option) from None
    except ValueError as error:
        raise unusable(str(error), option="name") from None
    return spec
