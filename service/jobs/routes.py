"""Routes of the jobs: send work, follow it, fetch the result, cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import flask
from flask import Blueprint, current_app, request
from werkzeug.http import parse_dict_header

from service.access import require_token
from service.model import Model
from service.runtime import Runtime
from service.services import negotiation
from service.services.chunks import Source
from service.services.options import Options
from service.services.problems import Problem, malformed

jobs = Blueprint("jobs", __name__)

_LISTED = 100


def _runtime() -> Runtime:
    return cast(Runtime, current_app.extensions["gpserve"])


@jobs.before_app_request
def _digest_body() -> None:
    """Before anybody has read of it: `Idempotency-Key` speaks of the whole body."""
    if request.headers.get("Idempotency-Key") and _runtime().settings.redis_url:
        from service.jobs.idempotency import digest_body

        digest_body(request)


def prefers_async() -> bool:
    """Whether this request should become a job at once."""
    return "respond-async" in _preferences()


def _preferences() -> dict[str, str | None]:
    said = parse_dict_header(request.headers.get("Prefer", ""))
    return {name.lower(): value for name, value in said.items()}


def predict_as_job(model: Model, media_type: str) -> flask.Response:
    """Accept a prediction as a job."""
    from service.jobs.plans import Job
    from service.jobs.uploads import keep

    runtime = _runtime()
    version, settings = runtime.live.version_of(model), runtime.settings
    accepted = runtime.jobs()

    def spec(id: str) -> Any:
        return keep(request, Job(accepted.blobs, id), model, version, settings, media_type)

    return _accept(spec)


def offer_job(
    model: Model, source: Source, options: Options, media_type: str
) -> flask.Response | None:
    """A job for a request that would take too long, or None: it is answered at once.

    Raises
    ------
    Problem
        413 when the caller did not say that it can take a job.
    """
    runtime = _runtime()
    if source.shape is None or not runtime.settings.redis_url:
        return None
    points = 1
    for length in source.shape:
        points *= length
    seconds = points * runtime.batcher.backlog.seconds_per_point
    wait = _wait_seconds()
    if seconds <= min(wait if wait is not None else seconds, runtime.settings.max_sync_seconds):
        return None
    if wait is None:
        raise Problem(
            413,
            f"{points} points take about {seconds:.0f} s, longer than one request may: send it "
            "as a job, with the header 'Prefer: respond-async'",
            where={"points": points, "limit": int(runtime.settings.max_sync_seconds)},
        )
    from service.jobs.plans import Job
    from service.jobs.uploads import refuse_truncated, store_source

    refuse_truncated(request)
    accepted, version = runtime.jobs(), runtime.live.version_of(model)

    def spec(id: str) -> Any:
        return store_source(Job(accepted.blobs, id), source, options, version, media_type)

    return _accept(spec)


def _wait_seconds() -> float | None:
    said = _preferences().get("wait")
    if said is None:
        return None
    with suppress(ValueError):
        seconds = float(said)
        if 0 <= seconds < math.inf:
            return seconds
    raise malformed(f"Prefer: wait={said[:40]!r} is not a number of seconds")


def _accept(spec: Callable[[str], Any]) -> flask.Response:
    from service.jobs.idempotency import Key
    from service.jobs.jobdocument import document
    from service.jobs.service import owner_of, reachable

    runtime = _runtime()
    owner = owner_of(request.headers.get("Authorization", ""))
    key = Key(request) if request.headers.get("Idempotency-Key") else None
    with reachable():
        runtime.store_initial()
        record = runtime.jobs().accept(spec, owner, key)
    response = flask.make_response(document(record), 202)
    response.headers["Location"] = f"/jobs/{record.id}"
    response.headers["Preference-Applied"] = "respond-async"
    return response


@jobs.post("/train")
def train() -> flask.Response:
    """Fit a new version from uploaded data, as a job."""
    from service.jobs.plans import Job
    from service.jobs.trainingrequest import keep_training

    runtime = _runtime()
    require_token(request.headers.get("Authorization", ""), runtime.settings.token)
    accepted = runtime.jobs()

    def spec(id: str) -> Any:
        return keep_training(request, Job(accepted.blobs, id), runtime.settings)

    return _accept(spec)


@jobs.get("/jobs")
def list_jobs() -> flask.Response:
    """List one's own jobs, the newest first: those sent with the same credentials."""
    from service.jobs.jobdocument import document
    from service.jobs.service import owner_of, reachable

    owner = owner_of(request.headers.get("Authorization", ""))
    with reachable():
        found = _runtime().jobs().documents.of(owner, _LISTED)
    return flask.jsonify({"jobs": [document(record) for record in found], "links": []})


@jobs.get("/jobs/<id>")
def job(id: str) -> flask.Response:
    """Follow a job."""
    from service.jobs.jobdocument import document
    from service.jobs.service import reachable

    with reachable():
        return flask.jsonify(document(_runtime().jobs().find(id)))


@jobs.delete("/jobs/<id>")
def dismiss_job(id: str) -> flask.Response:
    """Cancel a job; a job that has ended stays as it is."""
    from service.jobs.jobdocument import document
    from service.jobs.service import reachable

    with reachable():
        accepted = _runtime().jobs()
        return flask.jsonify(document(accepted.dismiss(accepted.find(id))))


@jobs.get("/jobs/<id>/results")
def job_results(id: str) -> flask.Response:
    """Fetch the result of a job that has succeeded."""
    from service.jobs import results
    from service.jobs.service import reachable
    from service.jobs.specs import Prediction

    accepted = _runtime().jobs()
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
