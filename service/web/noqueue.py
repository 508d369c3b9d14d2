"""The routes of jobs where no queue is configured: every one answers 503."""

from __future__ import annotations

from typing import NoReturn

import flask
from flask import Blueprint, request

from service.model import Model
from service.services.chunks import Source
from service.services.options import Options
from service.services.problems import Problem
from service.web.headers import require_token
from service.web.hooks import current_runtime

blueprint = Blueprint("jobs", __name__)


class WithoutQueue:
    """Stands for `web.jobs.WithQueue` where there is no queue."""

    blueprint = blueprint

    def accept_prediction(self, model: Model, media_type: str) -> NoReturn:
        """Refuse to make a job."""
        raise _no_queue()

    def offer_job(
        self, model: Model, source: Source, options: Options, media_type: str
    ) -> flask.Response | None:
        """Offer nothing: every prediction is answered at once, however long it takes."""
        return None


def _no_queue() -> Problem:
    return Problem(
        503,
        "jobs are disabled: no queue is configured. Set REDIS_URL, or start with `make run`; "
        "predictions work without",
    )


@blueprint.post("/train")
def train() -> NoReturn:
    """Refuse to train, once the caller has shown the token."""
    require_token(request.headers.get("Authorization", ""), current_runtime().settings.token)
    raise _no_queue()


@blueprint.get("/jobs")
@blueprint.get("/jobs/<id>")
@blueprint.delete("/jobs/<id>")
@blueprint.get("/jobs/<id>/results")
def refuse(id: str = "") -> NoReturn:
    """Refuse a request for a job."""
    raise _no_queue()
