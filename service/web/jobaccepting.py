"""From a request to a job: one that prefers it, one that would take too long, a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import flask
from flask import request
from werkzeug.http import parse_dict_header

from service.model import Model
from service.services.chunks import Source
from service.services.options import Options
from service.services.problems import Problem, malformed
from service.web.hooks import current_runtime


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
    from service.jobs.inputs import keep

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
    from service.jobs.inputs import refuse_truncated, refuse_what_is_too_much, store_source

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
    from service.jobs.jobdocument import document
    from service.jobs.jobs import owner_of, reachable

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
