"""The Flask application: routes, nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, cast

import flask
from flask import Blueprint, Flask, request

from service.model import Model, ModelFileError, Unsupported
from service.runtime import probes
from service.runtime.metrics import METRICS_TYPE
from service.runtime.runtime import Runtime
from service.services import diagnostics, negotiation, writing
from service.services.errors import Problem
from service.settings import Settings, SettingsError
from service.web import access, body, hooks, pages
from service.web.headers import mark_version, prefers_async, refuse_other_version
from service.web.hooks import (
    ClientLeftError,
    client_has_left,
    current_request,
    current_runtime,
    derive_while_connected,
    predict_while_connected,
)
from service.web.umbridge import umbridge
from service.web.v2 import v2
from service.web.versions import storing, versions

if TYPE_CHECKING:
    from service.web.jobs import JobRoutes

api = Blueprint("api", __name__)
no_queue = Blueprint("jobs", __name__)


def create_app(runtime: Runtime) -> Flask:
    """The application for one runtime."""
    app = hooks.Application(__name__, static_folder=None)
    app.extensions["gpserve"] = runtime
    app.config["MAX_FORM_MEMORY_SIZE"] = runtime.settings.max_parsed_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # No redirects to a path with other slashes: the query's line breaks would be in their header.
    app.url_map.merge_slashes = False
    hooks.install(app)
    access.install(app)
    app.register_blueprint(api)
    _add_job_routes(app, runtime)
    for blueprint in (versions, v2, umbridge, pages.blueprint, pages.swagger_ui()):
        app.register_blueprint(blueprint)
    return app


def _add_job_routes(app: Flask, runtime: Runtime) -> None:
    """Serve jobs, as ``app.extensions["gpserve.jobs"]``; without a queue that is None."""
    app.extensions["gpserve.jobs"] = None
    if not runtime.settings.redis_url:
        app.register_blueprint(no_queue)
        return
    # Imported here: a pod without a queue saves the time and memory that Redis takes.
    from service.web.jobs import JobRoutes, blueprint

    app.extensions["gpserve.jobs"] = JobRoutes(runtime)
    app.register_blueprint(blueprint)


@no_queue.post("/train")
def train() -> NoReturn:
    """Refuse a training."""
    refuse_job()


@no_queue.get("/jobs")
@no_queue.get("/jobs/<id>")
@no_queue.delete("/jobs/<id>")
@no_queue.get("/jobs/<id>/results")
def refuse_job(id: str = "") -> NoReturn:
    """Refuse a request that needs a queue."""
    raise Problem(
        503,
        "jobs are disabled: no queue is configured. Set REDIS_URL, or start with `make run`; "
        "predictions work without one",
    )


@api.route("/predict", methods=["GET", "POST"])
def predict() -> flask.Response:
    """Predict mean and variance."""
    started = perf_counter()
    runtime, request = current_runtime(), current_request()
    runtime.batcher.backlog.refuse_if_full()
    model = runtime.live.model
    refuse_other_version(request.headers.get("If-Match", ""), model.description.version)
    media_type = negotiation.answer_type(request.headers.get("Accept", ""))
    jobs: JobRoutes | None = flask.current_app.extensions["gpserve.jobs"]
    if jobs and prefers_async(request):
        return jobs.accept_prediction(model, media_type)
    counted = negotiation.begins_with_count(media_type) or access.counts_points()
    source, options = body.read(request, model, runtime.settings, counted)
    if jobs and (accepted := jobs.offer_job(model, source, options, media_type)):
        return accepted
    points = math.prod(source.shape) if source.shape is not None else None
    if points is not None:
        access.count_points(points)
    parsed = perf_counter()
    answer = writing.pieces(
        model,
        source,
        options,
        media_type,
        predict_while_connected(),
        runtime.limits,
        derive_while_connected(),
    )
    pieces = writing.whole_if_few(_while_connected(answer, request.environ), points)
    response = flask.Response(pieces, content_type=media_type)
    _describe(response, model)
    response.headers["Server-Timing"] = (
        f"parse;dur={(parsed - started) * 1e3:.3f}, "
        f"predict;dur={(perf_counter() - parsed) * 1e3:.3f}"
    )
    return response


def _while_connected(answer: Iterator[bytes], environ: Mapping[str, Any]) -> Iterator[bytes]:
    """Stop predicting for a client that has left."""
    with suppress(ClientLeftError):
        for piece in answer:
            if client_has_left(environ):
                return
            yield piece


def _describe(response: flask.Response, model: Model) -> None:
    mark_version(response, model.description.version)
    response.headers["Vary"] = "Accept"


def _of_the_version_asked(model: Model) -> Model:
    """Return the model, if ``If-Match`` allows it.

    Raises `Problem`: 412, for which Werkzeug would send the whole body, also for ``*``.
    """
    refuse_other_version(request.headers.get("If-Match", ""), model.description.version)
    request.environ.pop("HTTP_IF_MATCH", None)
    return model


@api.get("/model")
def model() -> flask.Response:
    """Describe the served model."""
    served = _of_the_version_asked(current_runtime().live.model)
    response = flask.jsonify(served.description.as_json() | {"arithmetic": served.arithmetic})
    _describe(response, served)
    return cast(flask.Response, response.make_conditional(request))


@api.get("/model/diagnostics")
def model_diagnostics() -> flask.Response:
    """Show how good the served model is, by rows that it has not seen."""
    runtime = current_runtime()
    served = _of_the_version_asked(runtime.live.model)
    media_type = negotiation.answer_type(request.headers.get("Accept", ""), diagnostics.OFFERED)
    try:
        found = runtime.diagnostics(served)
    except Unsupported as error:
        raise Problem(404, str(error)) from None
    content = diagnostics.written(found, served.description, media_type)
    response = flask.Response(content, content_type=media_type)
    _describe(response, served)
    if media_type == negotiation.CSV:  # else a browser would answer from its copy of the JSON
        response.set_etag(f"{served.description.version}-csv")
    return cast(flask.Response, response.make_conditional(request))


@api.get("/model.npz")
def model_file() -> flask.Response:
    """Download the served model's file."""
    runtime = current_runtime()
    served, path, version = runtime.live.served
    _of_the_version_asked(served)
    try:
        response = _download(path)
    except FileNotFoundError:  # other processes have needed the room in the cache of versions
        if runtime.versions is None:
            raise
        with storing():
            response = _download(runtime.versions.fetch(version))
    _describe(response, served)
    size = response.content_length
    return cast(flask.Response, response.make_conditional(request, True, size))


def _download(path: Path) -> flask.Response:
    response = flask.send_file(
        path, "application/octet-stream", as_attachment=True, conditional=False, etag=False
    )
    # The version alone says whether a copy or a part is of this file: that of an older version,
    # which is served again, may be older or newer than it.
    del response.headers["Last-Modified"]
    return response


@api.get("/healthz")
def healthz() -> tuple[dict[str, str], int]:
    """Report that the process is alive."""
    status, document = probes.liveness(current_runtime())
    return document, status


@api.get("/readyz")
def readyz() -> tuple[dict[str, Any], int]:
    """Report whether the server is ready: a model is loaded and it is not shutting down."""
    status, document = probes.readiness(current_runtime())
    return document, status


@api.get("/metrics")
def metrics() -> flask.Response:
    """Return metrics for Prometheus."""
    return flask.Response(current_runtime().metrics.exposition(), content_type=METRICS_TYPE)


def _application() -> Flask:
    """Return the application of the environment's settings.

    Raises `RuntimeError`: it cannot start. gunicorn then prints one line.
    """
    try:
        return create_app(Runtime(Settings.from_environ()))
    except (SettingsError, ModelFileError) as error:
        raise RuntimeError(f"gpserve cannot start: {error}") from None


app = _application()
