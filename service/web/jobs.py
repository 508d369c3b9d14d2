"""The routes of jobs where a queue is configured: send work, follow it, fetch results, cancel.

Only an application with a queue imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, BinaryIO, cast

import flask
import msgspec
from flask import Blueprint, request
from werkzeug.datastructures import MultiDict

from service.jobs import results, specs
from service.jobs.blobs import JobBlobs
from service.jobs.idempotency import Key
from service.jobs.inputs import (
    StoringReader,
    check_limits,
    checked_training_data,
    prediction_spec,
)
from service.jobs.jobs import Jobs, Store, reachable
from service.jobs.queue import show_depth
from service.jobs.records import Job, document, read_listing
from service.jobs.specs import INPUT, SERVED, Form, Prediction, Training
from service.model import Model, check_model_name
from service.runtime.callers import unauthorised
from service.runtime.runtime import Runtime
from service.services import negotiation
from service.services.body import decompressed, read_whole, refuse_larger
from service.services.chunks import CHUNK_TILES, Source
from service.services.errors import Problem, malformed, unusable
from service.services.features import features_of
from service.services.options import Options, converted, once
from service.services.parsing import parsing
from service.services.reading import only_file
from service.services.trainingjson import table_of_json
from service.services.trainingtables import TextTable, table_of_csv
from service.settings import Settings
from service.storage.versions import Versions
from service.web import body
from service.web.access import current_caller
from service.web.headers import ASYNC, prefers_async, wait_seconds
from service.web.hooks import Request, client_has_left, current_runtime

COLUMN_LISTS = frozenset({"features", "categorical", "leave_out"})
"""Options of a training that name several columns."""

blueprint = Blueprint("jobs", __name__)


class JobRoutes:
    """Makes jobs of requests, and knows the jobs that have been made."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.on_start(lambda: show_depth(runtime.settings.redis_url, runtime.metrics))

    @cached_property
    def jobs(self) -> Jobs:
        """Made when first needed: gunicorn forks, and a connection must belong to one process."""
        return Jobs(self._runtime.settings)

    def accept(self, store: Store, preference: str | None) -> flask.Response:
        """Answer 202 to a request that becomes a job.

        Parameters
        ----------
        store : stores its input
        preference : what the caller preferred, if that is why it becomes a job
        """
        key = _key(cast(Request, request))
        with reachable():
            self._runtime.store_initial()
            job = self.jobs.accept(current_caller(), key, store)
        response = flask.make_response(_described(job), 202)
        response.headers["Location"] = f"/jobs/{job.id}"
        if preference is not None:
            response.headers["Preference-Applied"] = preference
        return response

    def accept_prediction(self, model: Model, media_type: str) -> flask.Response:
        """Make a job of a prediction whose body has not been read."""
        return self.accept(partial(_store_request, self._runtime, model, media_type), ASYNC)

    def offer_job(
        self, model: Model, source: Source, options: Options, media_type: str
    ) -> flask.Response | None:
        """Make a job of a request that would take too long; None if it is answered at once.

        Raises `Problem`: 413 when the caller did not say that it can handle a job.
        """
        runtime = self._runtime
        if source.shape is None:
            return None
        points = math.prod(source.shape)
        seconds = points * runtime.uploads.seconds_per_point
        wait, most = wait_seconds(request), runtime.settings.max_sync_seconds
        if seconds <= min(most, wait if wait is not None else most):
            return None
        if wait is None:
            raise Problem(
                413,
                f"{points} points take about {seconds:.0f} s, longer than one request may: send it "
                "as a job, with the header 'Prefer: respond-async'",
                where={"points": points, "limit": int(most)},
            )
        _refuse_truncated()
        check_limits(model, points, options, runtime.limits)
        version = model.description.version
        return self.accept(
            lambda blobs: prediction_spec(blobs, source, options, version, media_type),
            f"wait={wait:.15g}",
        )


def _current() -> JobRoutes:
    return cast(JobRoutes, flask.current_app.extensions["gpserve.jobs"])


def _key(request: Request) -> Key | None:
    text = request.headers.get("Idempotency-Key")
    if not text:
        return None
    accept = request.headers.get("Accept", "")
    head = (request.method, request.full_path, request.mimetype, accept)
    return Key(text, head, request.digested, request.digest_body)


def _described(job: Job) -> dict[str, Any]:
    return cast(dict[str, Any], msgspec.to_builtins(document(job)))


def _store_request(runtime: Runtime, model: Model, media_type: str, blobs: JobBlobs) -> Prediction:
    """Store the points that a request sends.

    Raises `Problem`: whatever can be seen at once: 400, 413, 415, 422 as in a synchronous request.
    """
    settings, version = runtime.settings, model.description.version
    stored: list[Form] = []
    reader = StoringReader(
        features_of(model),
        CHUNK_TILES * model.large_tile,
        settings.max_points,
        settings.max_json_bytes,
        settings.max_parsed_bytes,
        blobs,
        stored,
    )
    source, options = body.read_with(
        reader, request, settings, negotiation.begins_with_count(media_type)
    )
    _refuse_truncated()
    # A table is counted by the worker, which begins with a row of it.
    points = 1 if source.shape is None else math.prod(source.shape)
    check_limits(model, points, options, runtime.limits)
    form = stored[0] if stored else None
    return prediction_spec(blobs, source, options, version, media_type, form)


def _refuse_truncated() -> None:
    """400 when the client left before the end of its body: a part must not become a job."""
    if client_has_left(request.environ):
        raise malformed("the body was cut off")


@blueprint.post("/train")
def train() -> flask.Response:
    """Fit a new version from uploaded data, as a job."""
    runtime = current_runtime()
    settings = runtime.settings
    preference = ASYNC if prefers_async(request) else None
    return _current().accept(partial(_store_training, settings, runtime.live.version), preference)


def _store_training(settings: Settings, served: str, blobs: JobBlobs) -> Training:
    """Store the table of a training, once it is known that it can train a model.

    Raises `Problem`: 400, 413, 415, 422 with reasons; 422 when the served model is of another kind.
    """
    if settings.model_class != "service.gpr:GPR":
        raise unusable("only Gaussian processes can be trained; another model class is served")
    data, options, read = _read_training(settings)
    _refuse_truncated()
    with parsing(len(data)):
        spec, text = _checked(read, data, options)
    blobs.write(INPUT, text)
    blobs.write(SERVED, served.encode())
    return spec


def _checked(read: ReadTable, data: bytes, options: dict[str, Any]) -> tuple[Training, bytes]:
    """Return what to train, and the table as CSV."""
    table, members = read(data)
    spec = _training_spec(once([*options.items(), *members.items()]))
    rows = checked_training_data(table, spec)
    return msgspec.structs.replace(spec, target=rows.output_name), table.data


ReadTable = Callable[[bytes], tuple[TextTable, dict[str, Any]]]
"""A function of a body that returns its table, and the options in it."""


def _read_csv(data: bytes) -> tuple[TextTable, dict[str, Any]]:
    return table_of_csv(data), {}


def _read_training(settings: Settings) -> tuple[bytes, dict[str, Any], ReadTable]:
    """Return the training data, the options beside them, and how the data are to be read."""
    limit, kind = settings.max_json_bytes, request.mimetype
    read: ReadTable = _read_csv
    if kind in ("application/json", ""):
        limit, read = settings.max_parsed_bytes, table_of_json
    what = "JSON" if read is table_of_json else "table"
    too_large = f"the {what} is larger than {limit} bytes"
    too_large += ": send CSV, which may be larger" if read is table_of_json else ""
    refuse_larger(request.content_length, limit, too_large)
    options = _joined(request.args)
    if kind == "multipart/form-data":
        options = once([*options.items(), *_joined(request.form).items()])
        only_file(request.files)
        upload = cast(BinaryIO, request.files["file"].stream)
        return read_whole(decompressed(upload, limit), limit, too_large), options, read
    if kind in body.CSV_TYPES:
        body.refuse_other_charset(request)
    data = read_whole(body.opened(request, limit), limit, too_large)
    if read is table_of_json or kind in (*body.CSV_TYPES, "application/octet-stream"):
        return data, options, read
    supported = "text/csv, application/json, multipart/form-data with a part 'file'"
    raise Problem(415, f"unsupported Content-Type {kind[:80]!r}; supported: {supported}")


def _joined(fields: MultiDict[str, str]) -> dict[str, Any]:
    """Return options as text; names of columns that are given one by one are joined."""
    lists = {name: ",".join(fields.getlist(name)) for name in COLUMN_LISTS & fields.keys()}
    others = [(name, value) for name, value in fields.items(multi=True) if name not in lists]
    return lists | once(others)


def _training_spec(options: dict[str, Any]) -> Training:
    for name in COLUMN_LISTS & options.keys():
        if isinstance(given := options[name], str):
            options[name] = [part.strip() for part in given.split(",") if part.strip()]
    unknown = options.keys() - set(Training.__struct_fields__)
    if unknown:
        name, known = min(unknown)[:40], ", ".join(Training.__struct_fields__)
        raise unusable(f"unknown option {name!r}; options: {known}", option=name)
    spec = converted(options, Training, text=True)
    try:
        check_model_name(spec.name)
    except ValueError as error:
        raise unusable(str(error), option="name") from None
    return spec


@blueprint.get("/jobs")
def list_jobs() -> flask.Response:
    """List the jobs that were sent with the same key, the newest first."""
    caller = current_caller()
    if not caller.known:
        detail = "jobs are listed by key: send yours as a bearer token"
        raise unauthorised(f"{detail}; a job that was sent without one is found by its id")
    listing = read_listing(request.args)
    with reachable():
        jobs = _current().jobs.jobs_of(caller.owner, listing)
    return flask.jsonify({"jobs": [_described(job) for job in jobs], "links": []})


@blueprint.get("/jobs/<id>")
def job(id: str) -> flask.Response:
    """Follow a job."""
    with reachable():
        return flask.jsonify(_described(_current().jobs.find(id, current_caller())))


@blueprint.delete("/jobs/<id>")
def dismiss_job(id: str) -> flask.Response:
    """Cancel a job; a job that has ended stays as it is."""
    with reachable():
        return flask.jsonify(_described(_current().jobs.dismiss(id, current_caller())))


@blueprint.get("/jobs/<id>/results")
def job_results(id: str) -> flask.Response:
    """Fetch the result of a job that has succeeded."""
    jobs = _current().jobs
    with reachable():
        job = jobs.find(id, current_caller())
        results.refuse_unready(job)
        spec, blobs = specs.decode(job.spec), JobBlobs(jobs.blobs, id)
        if isinstance(spec, Training):
            document = results.training_document(Versions(jobs.blobs), job)
            return flask.Response(document, content_type=negotiation.JSON)
        accept = request.headers.get("Accept", "*/*")
        media_type = spec.media_type if accept == "*/*" else negotiation.answer_type(accept)
        pieces = results.prediction_pieces(blobs, spec, media_type)
    response = flask.Response(pieces, content_type=media_type)
    response.headers["X-Model-Version"] = spec.version
    response.vary.add("Accept")
    return response
