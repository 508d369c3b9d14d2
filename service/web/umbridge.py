"""UM-Bridge 1.0: the protocol of uncertainty quantification packages. Routes only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import flask
import numpy as np
from flask import Blueprint

from service.model import FloatArray, Model
from service.services import umbridge as calls
from service.services.body import read_whole
from service.services.features import features_of
from service.services.parsing import parsing
from service.services.umbridge import Call, Feature
from service.web.access import count_points
from service.web.body import opened
from service.web.headers import mark_version, refuse_other_version
from service.web.hooks import (
    current_request,
    current_runtime,
    derive_while_connected,
    predict_while_connected,
)

umbridge = Blueprint("umbridge", __name__)


Compute = Callable[[], Iterable[bytes]]
"""A function that returns the answer in pieces."""


def _body() -> bytes:
    settings, request = current_runtime().settings, current_request()
    limit = settings.max_parsed_bytes
    stream = opened(request, settings.max_body_bytes)
    detail = f"the call is larger than {limit} bytes: send fewer points"
    return read_whole(stream, limit, detail, request.content_length)


def _read() -> tuple[Model, Call]:
    model, body = current_runtime().live.model, _body()
    with parsing(len(body)):
        return model, calls.read(body, model)


def _computed(feature: Feature, prepare: Callable[[Model, Call], Compute]) -> flask.Response:
    """Answer a call; `prepare` makes arrays of its numbers while no other call is parsed."""
    runtime = current_runtime()
    model = runtime.live.model
    runtime.batcher.backlog.refuse_if_full()
    if_match = current_request().headers.get("If-Match", "")
    refuse_other_version(if_match, model.description.version)
    body = _body()
    with parsing(len(body)):
        compute = prepare(model, calls.read(body, model, feature))
    response = flask.Response(compute(), content_type="application/json")
    mark_version(response, model.description.version)
    return response


def _points(model: Model, call: Call) -> FloatArray:
    limit = current_runtime().settings.max_points
    X = np.array(calls.rows(call, features_of(model), limit))
    count_points(len(X))
    return X


@umbridge.get("/Info")
def info() -> flask.Response:
    """List the models."""
    names = calls.model_names(current_runtime().live.model)
    return flask.jsonify(protocolVersion=calls.PROTOCOL_VERSION, models=names)


@umbridge.post("/ModelInfo")
def model_info() -> flask.Response:
    """List the calls that a model supports."""
    model, _ = _read()
    return flask.jsonify(support=calls.support(model))


@umbridge.post("/InputSizes")
def input_sizes() -> flask.Response:
    """Return the length of each input vector."""
    model, call = _read()
    size = call.config.points * len(model.description.feature_names)
    return flask.jsonify(inputSizes=[size])


@umbridge.post("/OutputSizes")
def output_sizes() -> flask.Response:
    """Return the length of each output vector."""
    model, call = _read()
    size = call.config.points * len(calls.columns_of(call.name, model))
    return flask.jsonify(outputSizes=[size])


@umbridge.post("/Evaluate")
def evaluate() -> flask.Response:
    """Predict mean, variance or both."""
    return _computed("Evaluate", _evaluation)


def _evaluation(model: Model, call: Call) -> Compute:
    predict = predict_while_connected()
    X, columns, noisy = _points(model, call), calls.columns_of(call.name, model), call.config.noisy
    return lambda: calls.evaluated_pieces(predict(model, X, noisy), columns)


@umbridge.post("/Gradient")
def gradient() -> flask.Response:
    """Multiply the transposed Jacobian by `sens`."""
    return _computed("Gradient", _gradient)


def _gradient(model: Model, call: Call) -> Compute:
    derive = derive_while_connected()
    X, columns = _points(model, call), calls.columns_of(call.name, model)
    calls.check_indices(outWrt=call.out_wrt, inWrt=call.in_wrt)
    sens = calls.vector(call.sens, "sens", len(X), len(columns))
    return lambda: calls.derived(derive(partial(calls.gradient, model, columns), X, sens))


@umbridge.post("/ApplyJacobian")
def apply_jacobian() -> flask.Response:
    """Multiply the Jacobian by `vec`."""
    return _computed("ApplyJacobian", _jacobian)


def _jacobian(model: Model, call: Call) -> Compute:
    derive = derive_while_connected()
    X, columns = _points(model, call), calls.columns_of(call.name, model)
    calls.check_indices(outWrt=call.out_wrt, inWrt=call.in_wrt)
    vec = calls.vector(call.vec, "vec", *X.shape)
    return lambda: calls.derived(derive(partial(calls.jacobian, model, columns), X, vec))


@umbridge.post("/ApplyHessian")
def apply_hessian() -> flask.Response:
    """Multiply the Hessian, weighted by `sens`, by `vec`."""
    return _computed("ApplyHessian", _hessian)


def _hessian(model: Model, call: Call) -> Compute:
    derive = derive_while_connected()
    X, columns = _points(model, call), calls.columns_of(call.name, model)
    calls.check_indices(outWrt=call.out_wrt, inWrt1=call.in_wrt1, inWrt2=call.in_wrt2)
    sens = calls.vector(call.sens, "sens", len(X), len(columns))
    vec = calls.vector(call.vec, "vec", *X.shape)
    return lambda: calls.derived(derive(partial(calls.hessian, model, columns), X, sens, vec))
