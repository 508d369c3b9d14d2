"""Open Inference Protocol v2, the protocol of KServe, Triton and MLServer. Routes only."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import flask
from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import PathConverter

from service import __version__
from service.model import Model
from service.runtime import probes
from service.services import v2 as protocol
from service.services import v2tensors as tensors
from service.services.body import Spool, read_whole, refuse_larger
from service.services.features import features_of
from service.services.parsing import parsing
from service.services.v2 import HEADER_LENGTH
from service.services.writing import whole_if_few
from service.web.access import count_points
from service.web.body import opened
from service.web.headers import mark_version, refuse_other_version
from service.web.hooks import (
    current_request,
    current_runtime,
    derive_while_connected,
    predict_while_connected,
)

v2 = Blueprint("v2", __name__)


class ModelName(PathConverter):
    """A model's name, perhaps with a slash, as in ``stress [N/mm]``, but not a route's end."""

    regex = r"[^/].*?(?<!/infer)(?<!/ready)(?<!/stats)"


@v2.record_once
def _know_model_names(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["model"] = ModelName


View = Callable[..., Any]


def _of_model(tail: str, method: str) -> Callable[[View], View]:
    """Route ``/v2/models/{name}…`` and the same of a version."""

    def decorate(view: View) -> View:
        for middle in ("", "/versions/<version>"):
            path = f"/v2/models/<model:name>{middle}{tail}"
            endpoint = view.__name__ + ("_of_version" if middle else "")
            v2.add_url_rule(path, endpoint, view, methods=[method])
        return view

    return decorate


@v2.get("/v2")
@v2.get("/v2/")
def server_metadata() -> flask.Response:
    """Describe the server."""
    return flask.jsonify(protocol.server(__version__))


@v2.get("/v2/health/live")
def live() -> tuple[dict[str, bool], int]:
    """Report that the process is alive."""
    status, document = probes.v2_liveness(current_runtime())
    return document, status


@v2.get("/v2/health/ready")
def ready() -> tuple[dict[str, bool], int]:
    """Report whether the server is ready for requests."""
    status, document = probes.v2_readiness(current_runtime())
    return document, status


def _model(name: str, version: str | None) -> Model:
    served = current_runtime().live.model
    protocol.refuse_unknown(served, name, version)
    return served


@_of_model("", "GET")
def model_metadata(name: str, version: str | None = None) -> flask.Response:
    """Describe the model's inputs and outputs."""
    return flask.jsonify(protocol.model(_model(name, version)))


@_of_model("/ready", "GET")
def model_ready(name: str, version: str | None = None) -> tuple[dict[str, Any], int]:
    """Report whether the model is ready."""
    _model(name, version)
    status, _ = probes.readiness(current_runtime())
    return {"name": name, "ready": status == 200}, status


@_of_model("/stats", "GET")
def model_statistics(name: str, version: str | None = None) -> flask.Response:
    """Return the model's statistics."""
    return flask.jsonify(
        protocol.statistics(_model(name, version), current_runtime().metrics.totals())
    )


@v2.get("/v2/models/stats")
def statistics() -> flask.Response:
    """Return the statistics of all models."""
    runtime = current_runtime()
    return flask.jsonify(protocol.statistics(runtime.live.model, runtime.metrics.totals()))


@v2.post("/v2/repository/index")
def repository_index() -> flask.Response:
    """List the models."""
    runtime = current_runtime()
    status, document = probes.readiness(runtime)
    reason = "" if status == 200 else document["status"]
    return flask.jsonify(protocol.repository(runtime.live.model, reason))


@_of_model("/infer", "POST")
def infer(name: str, version: str | None = None) -> flask.Response:
    """Predict mean and variance."""
    runtime, request = current_runtime(), current_request()
    runtime.batcher.backlog.refuse_if_full()
    served = _model(name, version)
    refuse_other_version(request.headers.get("If-Match", ""), served.description.version)
    features, limit = features_of(served), runtime.settings.max_points
    text, raw = _body()
    with parsing(len(text)):
        asked, X = protocol.read_request(text, raw, features, limit)
    count_points(len(X))
    outputs, members = protocol.infer(
        served, X, asked, predict_while_connected(), derive_while_connected()
    )
    return _answer(served, asked.id, outputs, members, points=len(X))


def _body() -> tuple[bytes, bytes | mmap.mmap | None]:
    """Return the JSON, and the bytes after it, if a header says where they begin."""
    settings, request = current_runtime().settings, current_request()
    refuse_larger(request.content_length, settings.max_body_bytes)
    body = opened(request, settings.max_body_bytes)
    header, limit = request.headers.get(HEADER_LENGTH), settings.max_parsed_bytes
    too_much = f"the JSON is larger than {limit} bytes: send binary tensors"
    if header is None:
        return read_whole(body, limit, too_much, request.content_length), None
    length = protocol.json_length(header)
    refuse_larger(length, limit, too_much)
    text = body.read(length)
    protocol.refuse_short(text, length)
    return text, Spool(body).buffer()


def _answer(
    model: Model,
    id: str | None,
    outputs: list[tensors.Output],
    members: dict[str, Any],
    *,
    points: int,
) -> flask.Response:
    length, pieces = tensors.write(protocol.head(model, id or flask.g.request_id, members), outputs)
    kind = "application/json" if length is None else "application/octet-stream"
    response = flask.Response(whole_if_few(pieces, points), content_type=kind)
    mark_version(response, model.description.version)
    if length is not None:
        response.headers[HEADER_LENGTH] = str(length)
    return response
