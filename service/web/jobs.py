"""Routes of the jobs: send work, follow it, fetch the result, cancel."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, request

from service.services import negotiation
from service.web.access import require_token
from service.web.hooks import current_runtime
from service.web.jobaccepting import accept

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
    from service.web.trainingrequest import keep_training

    runtime = current_runtime()
    require_token(request.headers.get("Authorization", ""), runtime.settings.token)
    accepted = runtime.jobs()

    def spec(id: str) -> Any:
        return keep_training(request, Job(accepted.blobs, id), runtime.settings)

    return accept(spec)


@jobs.get("/jobs")
def list_jobs() -> flask.Response:
    """List one's own jobs, the newest first: those sent with the same credentials."""
    from service.jobs.jobdocument import document
    from service.jobs.jobs import owner_of, reachable
    from service.jobs.listing import listed, read_listing

    owner, listing = owner_of(request.headers.get("Authorization", "")), read_listing(request.args)
    with reachable():
        found = listed(current_runtime().jobs().documents, owner, listing)
    return flask.jsonify({"jobs": [document(record) for record in found], "links": []})


@jobs.get("/jobs/<id>")
def job(id: str) -> flask.Response:
    """Follow a job."""
    from service.jobs.jobdocument import document
    from service.jobs.jobs import reachable

    with reachable():
        return flask.jsonify(document(current_runtime().jobs().find(id)))


@jobs.delete("/jobs/<id>")
def dismiss_job(id: str) -> flask.Response:
    """Cancel a job; a job that has ended stays as it is."""
    from service.jobs.jobdocument import document
    from service.jobs.jobs import reachable

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
