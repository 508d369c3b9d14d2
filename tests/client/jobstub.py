"""The routes of jobs and versions as the contract words them, in memory, for the client's tests."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, cast

import flask
import numpy as np
from flask import Blueprint, Flask, current_app, request

from service.services.problems import MEDIA_TYPE, Problem

TOKEN = "let-me-in"


@dataclass
class Stub:
    """Each look at a job brings it 40 % further."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    queries: dict[str, dict[str, str]] = field(default_factory=dict)
    active: str = "aaaaaaaaaaaa"
    stuck: bool = False

    def add(self, process: str) -> flask.Response:
        key = request.headers["Idempotency-Key"]
        id = self.keys.setdefault(key, f"job-{len(self.jobs)}")
        self.jobs[id] = {
            "jobID": id,
            "type": "process",
            "processID": process,
            "status": "accepted",
            "progress": 0,
            "message": "waiting",
            "links": [],
        }
        self.bodies[id] = request.get_data()
        self.queries[id] = request.args.to_dict()
        return flask.make_response(self.jobs[id], 202, {"Location": f"/jobs/{id}"})

    def look(self, id: str) -> dict[str, Any]:
        job = self.jobs[id]
        if job["status"] in ("accepted", "running") and not self.stuck:
            done = job["progress"] + 40
            broken = b"constant" in self.bodies[id]
            end = "failed" if broken else "successful"
            job.update(progress=min(done, 100), status=end if done >= 100 else "running")
            job["message"] = "the output is constant" if broken else f"{done} %"
        return job


def _authorized() -> None:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise Problem(403, "a bearer token is needed")


routes = Blueprint("stub", __name__)


def stub_app(stub: Stub) -> Flask:
    """The application; `/model` says enough to be asked for predictions."""
    app = Flask(__name__)
    app.extensions["stub"] = stub
    app.register_blueprint(routes)
    return app


def _stub() -> Stub:
    return cast(Stub, current_app.extensions["stub"])


@routes.app_errorhandler(Problem)
def problem(error: Problem) -> flask.Response:
    return flask.Response(error.document(), error.status, content_type=MEDIA_TYPE)


@routes.get("/model")
def model() -> dict[str, Any]:
    return {
        "name": "sum",
        "version": _stub().active,
        "feature_names": ["a", "b"],
        "output_name": "y",
        "training_range": {"a": [0, 1], "b": [0, 1]},
    }


@routes.post("/predict")
def predict() -> flask.Response:
    assert request.headers["Prefer"] == "respond-async"
    return _stub().add("predict")


@routes.post("/train")
def train() -> flask.Response:
    _authorized()
    return _stub().add("train")


@routes.get("/jobs")
def jobs() -> dict[str, Any]:
    return {"jobs": list(_stub().jobs.values()), "links": []}


@routes.get("/jobs/<id>")
def job(id: str) -> dict[str, Any]:
    if id not in _stub().jobs:
        raise Problem(404, "no such job")
    return _stub().look(id)


@routes.delete("/jobs/<id>")
def dismiss(id: str) -> dict[str, Any]:
    _stub().jobs[id].update(status="dismissed", message="dismissed by its owner")
    return _stub().jobs[id]


@routes.get("/jobs/<id>/results")
def results(id: str) -> flask.Response:
    if _stub().jobs[id]["processID"] == "train":
        return flask.jsonify(version="bbbbbbbbbbbb", scores={"rmse": 0.1})
    X = np.load(io.BytesIO(_stub().bodies[id]))
    out = io.BytesIO()
    np.save(out, np.stack([X.sum(axis=-1), X.prod(axis=-1)], axis=-1))
    headers = {"X-Model-Version": _stub().active}
    return flask.Response(out.getvalue(), 200, headers, content_type="application/x-npy")


@routes.get("/models")
def models() -> dict[str, Any]:
    return {"models": [{"version": _stub().active, "current": True}]}


@routes.post("/models/<version>/activate")
def activate(version: str) -> dict[str, Any]:
    _authorized()
    _stub().active = version
    return {"version": version}
