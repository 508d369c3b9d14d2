"""Routes of the jobs: send work, follow it, fetch the result, cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

import flask
import msgspec
from flask import Blueprint, Request, request
from werkzeug.http import parse_dict_header

from service.jobs.blobs import Job
from service.jobs.inputs import (
    StoringReader,
    prediction_spec,
    refuse_what_is_too_much,
    store_source,
)
from service.jobs.specs import INPUT, Prediction, Training
from service.jobs.training import read_table
from service.model import Model, check_model_name
from service.services import negotiation
from service.services.body import decompressed, read_whole, refuse_larger
from service.services.chunks import CHUNK_TILES, Source
from service.services.options import Options
from service.services.problems import Problem, malformed, unusable
from service.services.reading import only_file
from service.services.trainingjson import table_of_json
from service.settings import Settings
from service.web import body
from service.web.headers import require_token
from service.web.hooks import client_has_left, current_runtime

_TABLES = ("text/csv", "application/csv", "text/plain", "application/octet-stream")


def keep(
    request: Request, job: Job, model: Model, version: str, settings: Settings, media_type: str
) -> Prediction:
    """Store what a request asks to predict.

    Raises
    ------
    Problem
        Whatever can be seen at once: 400, 413, 415, 422 as in a synchronous request.
    """
    stored: list[str] = []
    reader = StoringReader(
        model.description.feature_names,
        CHUNK_TILES * model.large_tile,
        settings.max_points,
        settings.max_json_bytes,
        job,
        stored,
    )
    source, options = body.read_with(reader, request, settings, media_type)
    refuse_truncated(request)
    refuse_what_is_too_much(source, options, settings)
    if not stored:
        return store_source(job, source, options, version, media_type)
    return prediction_spec(version, stored[0], options, media_type, source)


def refuse_truncated(request: Request) -> None:
    """400 when the client left before the end of its body: a part must not become a job."""
    if client_has_left(request.environ):
        raise malformed("the body was cut off")


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
        return read_whole(decompressed(upload, limit), limit, too_much), options
    data = read_whole(body.opened(request, limit), limit, too_much)
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


def prefers_async() -> bool:
    """Whether this request should become a job at once."""
    return "respond-async" in _preferences()


def _preferences() -> dict[str, str | None]:
    if request.method == "HEAD":  # it must change nothing
        return {}
    said = parse_dict_header(request.headers.get("Prefer", ""))
    return {name.lower(): value for name, value in said.items()}


def predict_as_job(model: Model, media_type: str) -> flask.Response:
    """Accept a prediction as a job."""
    from service.jobs.blobs import Job

    runtime = current_runtime()
    version, settings = runtime.live.version_of(model), runtime.settings
    accepted = runtime.jobs()

    def spec(id: str) -> Any:
        return keep(request, Job(accepted.blobs, id), model, version, settings, media_type)

    return accept(spec)


def offer_job(
    model: Model, source: Source, options: Options, media_type: str
) -> flask.Response | None:
    """A job for a request that would take too long, or None: it is answered at once.

    Raises
    ------
    Problem
        413 when the caller did not say that it can take a job.
    """
    runtime = current_runtime()
    if source.shape is None or not runtime.settings.redis_url:
        return None
    points = math.prod(source.shape)
    seconds = points * runtime.uploads.seconds_per_point
    wait, most = _wait_seconds(), runtime.settings.max_sync_seconds
    if seconds <= min(most, wait if wait is not None else most):
        return None
    if wait is None:
        raise _too_long(points, seconds, most)
    return _source_as_job(model, source, options, media_type)


def _too_long(points: int, seconds: float, most: float) -> Problem:
    return Problem(
        413,
        f"{points} points take about {seconds:.0f} s, longer than one request may: send it "
        "as a job, with the header 'Prefer: respond-async'",
        where={"points": points, "limit": int(most)},
    )


def _source_as_job(
    model: Model, source: Source, options: Options, media_type: str
) -> flask.Response:
    from service.jobs.blobs import Job

    runtime = current_runtime()
    refuse_truncated(request)
    refuse_what_is_too_much(source, options, runtime.settings)
    accepted, version = runtime.jobs(), runtime.live.version_of(model)

    def spec(id: str) -> Any:
        return store_source(Job(accepted.blobs, id), source, options, version, media_type)

    return accept(spec)


def _wait_seconds() -> float | None:
    said = _preferences().get("wait")
    if said is None:
        return None
    with suppress(ValueError):
        seconds = float(said)
        if 0 <= seconds < math.inf:
            return seconds
    raise malformed(f"Prefer: wait={said[:40]!r} is not a number of seconds")


def accept(spec: Callable[[str], Any]) -> flask.Response:
    """The answer 202 to a request that `spec` makes a job of."""
    from service.jobs.idempotency import Key
    from service.jobs.jobs import owner_of, reachable
    from service.jobs.records import document

    runtime = current_runtime()
    owner = owner_of(request.headers.get("Authorization", ""))
    key = Key(request) if request.headers.get("Idempotency-Key") else None
    with reachable():
        runtime.store_initial()
        record = runtime.jobs().accept(spec, owner, key)
    response = flask.make_response(document(record), 202)
    response.headers["Location"] = f"/jobs/{record.id}"
    response.headers["Preference-Applied"] = "respond-async"
    return response


jobs = Blueprint("jobs", __name__)


@jobs.before_app_request
def _digest_body() -> None:
    """Before anybody has read of it: `Idempotency-Key` speaks of the whole body."""
    if request.headers.get("Idempotency-Key") and current_runtime().settings.redis_url:
        from service.jobs.idempotency import digest_body

        digest_body(request)


@jobs.post("/train")
def train() -> flask.Response:
    """Fit a new version from uploaded data, as a job."""
    from service.jobs.blobs import Job

    runtime = current_runtime()
    require_token(request.headers.get("Authorization", ""), runtime.settings.token)
    accepted = runtime.jobs()

    def spec(id: str) -> Any:
        return keep_training(request, Job(accepted.blobs, id), runtime.settings)

    return accept(spec)


@jobs.get("/jobs")
def list_jobs() -> flask.Response:
    """List one's own jobs, the newest first: those sent with the same credentials."""
    from service.jobs.jobs import listed, owner_of, reachable
    from service.jobs.records import document, read_listing

    owner, listing = owner_of(request.headers.get("Authorization", "")), read_listing(request.args)
    with reachable():
        found = listed(current_runtime().jobs().documents, owner, listing)
    return flask.jsonify({"jobs": [document(record) for record in found], "links": []})


@jobs.get("/jobs/<id>")
def job(id: str) -> flask.Response:
    """Follow a job."""
    from service.jobs.jobs import reachable
    from service.jobs.records import document

    with reachable():
        return flask.jsonify(document(current_runtime().jobs().find(id)))


@jobs.delete("/jobs/<id>")
def dismiss_job(id: str) -> flask.Response:
    """Cancel a job; a job that has ended stays as it is."""
    from service.jobs.jobs import reachable
    from service.jobs.records import document

    with reachable():
        accepted = current_runtime().jobs()
        return flask.jsonify(document(accepted.dismiss(accepted.find(id))))


@jobs.get("/jobs/<id>/results")
def job_results(id: str) -> flask.Response:
    """Fetch the result of a job that has succeeded."""
    from service.jobs import results
    from service.jobs.jobs import reachable
    from service.jobs.specs import Prediction

    accepted = current_runtime().jobs()
    with reachable():
        record = accepted.find(id)
        results.refuse_unready(record)
        spec = results.spec_of(record)
        if not isinstance(spec, Prediction):
            body = results.training_document(accepted.blobs, record)
            return flask.Response(body, content_type=negotiation.JSON)
        said = request.headers.get("Accept", "*/*")
        media_type = spec.media_type if said == "*/*" else negotiation.answer_type(said)
        pieces = results.prediction_pieces(accepted.blobs, record, spec, media_type)
    response = flask.Response(pieces, content_type=media_type)
    response.headers["X-Model-Version"] = spec.version
    response.vary.add("Accept")
    return response
