"""The Flask application: routes, nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from time import perf_counter
from typing import BinaryIO, cast
from urllib.parse import parse_qsl

import flask
from flask import Blueprint, Flask, current_app, request

from service import openapi, probes, requests, settings
from service.conditions import refuse_other_version
from service.model import Model
from service.protocols.umbridge import umbridge
from service.protocols.v2 import v2
from service.runtime import Runtime
from service.services import answering, negotiation
from service.services.body import open_body, unpacked
from service.services.chunks import CHUNK_TILES, Source
from service.services.options import Options
from service.services.problems import Problem, malformed
from service.services.reading import READS, Fields, Reader, only_file

api = Blueprint("api", __name__)


def create_app(runtime: Runtime) -> Flask:
    """The application for one runtime."""
    app = Flask(__name__, static_folder=None)
    app.request_class = requests.Request
    app.extensions["gpserve"] = runtime
    app.config["MAX_FORM_MEMORY_SIZE"] = runtime.settings.max_json_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    requests.install(app, runtime)
    app.register_blueprint(api)
    app.register_blueprint(v2)
    app.register_blueprint(umbridge)
    app.register_blueprint(openapi.pages)
    app.register_blueprint(openapi.swagger())
    return app


def _runtime() -> Runtime:
    return cast(Runtime, current_app.extensions["gpserve"])


@api.route("/predict", methods=["GET", "POST"])
def predict() -> flask.Response:
    """Predict mean and variance."""
    started = perf_counter()
    runtime = _runtime()
    runtime.batcher.backlog.refuse_if_full()
    model = runtime.live.model
    refuse_other_version(request.headers.get("If-Match", ""), model.description.version)
    media_type = negotiation.answer_type(request.headers.get("Accept", ""))
    source, options = _read(runtime, model, media_type)
    parsed = perf_counter()
    answer = answering.pieces(model, source, options, media_type, runtime.predict, runtime.limits)
    response = flask.Response(_while_connected(answer), content_type=media_type)
    _describe(response, model)
    response.headers["Server-Timing"] = (
        f"parse;dur={(parsed - started) * 1e3:.3f}, "
        f"predict;dur={(perf_counter() - parsed) * 1e3:.3f}"
    )
    return response


def _while_connected(answer: Iterator[bytes]) -> Iterator[bytes]:
    """Stop predicting for a caller who has left; only the front's server can tell."""
    scope = request.environ.get("asgi.scope", {})

    def pieces() -> Iterator[bytes]:
        for piece in answer:
            if scope.get("gpserve.left"):
                return
            yield piece

    return pieces()


def _read(runtime: Runtime, model: Model, media_type: str) -> tuple[Source, Options]:
    limits = runtime.settings
    reader = Reader(
        model.description.feature_names,
        CHUNK_TILES * model.large_tile,
        limits.max_points,
        limits.max_json_bytes,
    )
    query: Fields = list(request.args.items(multi=True))
    if request.method in ("GET", "HEAD"):
        return reader.fields(query)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    kind = request.mimetype
    counted = answering.needs_count(media_type)
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return _read_form(reader, query, encoding, counted)
    body = open_body(cast(BinaryIO, request.stream), encoding, limits.max_body_bytes)
    if kind in ("application/json", ""):
        return reader.json(body, query)
    if kind in ("text/csv", "application/csv", "text/plain", "application/vnd.ms-excel"):
        _refuse_other_charset()
        options = reader.options(query)
        return reader.table(body, options, counted=counted), options
    if kind == negotiation.NPY:
        return reader.array(body), reader.options(query)
    if kind == "application/octet-stream":
        return reader.file(body, query, counted=counted)
    raise Problem(415, f"Content-Type {kind[:80]!r} is not read here; these are: {READS}")


def _read_form(
    reader: Reader, query: Fields, encoding: str, counted: bool
) -> tuple[Source, Options]:
    if encoding not in ("", "identity"):
        raise Problem(415, "a form is not read compressed: gzip the file in it instead")
    if request.mimetype == "application/x-www-form-urlencoded":
        # curl -d says that anything is a form, also JSON
        body = request.stream.read(reader.max_json_bytes + 1)
        if body[:1] in (b"{", b"["):
            return reader.json(io.BytesIO(body), query)
        return reader.fields(
            query + parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        )
    try:
        fields: Fields = query + list(request.form.items(multi=True))
    except ValueError as error:
        raise malformed(f"the form cannot be read: {error}") from None
    if fields and not request.files:
        return reader.fields(fields)
    only_file(request.files)
    upload = request.files["file"]
    body = unpacked(cast(BinaryIO, upload.stream), _runtime().settings.max_body_bytes)
    if upload.mimetype == "application/json" or (upload.filename or "").endswith(".json"):
        return reader.json(body, fields)
    return reader.file(body, fields, counted=counted)


def _refuse_other_charset() -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise Problem(415, f"charset {charset[:40]!r} is not read here, utf-8 is")


def _describe(response: flask.Response, model: Model) -> None:
    response.headers["X-Model-Version"] = model.description.version
    response.set_etag(model.description.version)
    response.vary.add("Accept")


@api.get("/model")
def model() -> flask.Response:
    """Describe the model that is served."""
    served = _runtime().live.model
    response = flask.jsonify(served.description.as_json())
    _describe(response, served)
    return cast(flask.Response, response.make_conditional(request))


@api.get("/model.npz")
def model_file() -> flask.Response:
    """Take the model home."""
    live = _runtime().live
    response = flask.send_file(live.path, "application/octet-stream", as_attachment=True)
    _describe(response, live.model)
    return cast(flask.Response, response.make_conditional(request))


@api.get("/healthz")
def healthz() -> tuple[dict[str, str], int]:
    """Say that the process lives."""
    status, document = probes.liveness(_runtime())
    return document, status


@api.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Say whether requests are welcome: a model is loaded and we are not draining."""
    status, document = probes.readiness(_runtime())
    return document, status


@api.get("/metrics")
def metrics() -> flask.Response:
    """Show Prometheus what happens."""
    return flask.Response(_runtime().metrics.exposition(), content_type=probes.METRICS_TYPE)


app = create_app(Runtime(settings.read()))
