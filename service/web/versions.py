"""Routes of the stored versions: list and activate them."""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, request

from service.model import Model, ModelFileError
from service.runtime.live import load_version
from service.runtime.runtime import Runtime
from service.services.errors import Problem, busy, full
from service.services.options import Activation, converted, once
from service.storage.blobs import StorageError, StorageFull
from service.storage.comparison import clearly_worse
from service.storage.versions import NoSuchVersion
from service.web.headers import require_token
from service.web.hooks import current_runtime

versions = Blueprint("versions", __name__)


@versions.get("/models")
def models() -> flask.Response:
    """List the stored versions with their scores, newest first."""
    runtime = current_runtime()
    served = runtime.live.version
    listed = _stored(runtime)
    if all(version["version"] != served for version in listed):
        listed.append(runtime.live.model.description.as_json() | {"version": served})
    for version in listed:
        version["current"] = version["version"] == served
    return flask.jsonify({"current": served, "models": listed})


@versions.post("/models/<version>/activate")
def activate(version: str) -> flask.Response:
    """Activate a stored version; every replica serves it within two seconds."""
    runtime = current_runtime()
    require_token(request.headers.get("Authorization", ""), runtime.settings.token)
    store = runtime.versions
    if store is None:
        raise Problem(503, "no model store is configured: set GPSERVE_STORE or REDIS_URL")
    options = converted(once(request.args.items(multi=True)), Activation, text=True)
    try:
        runtime.store_initial()
        model, _ = load_version(store, version, runtime.live.class_name)
        if not options.force:
            _refuse_worse(version, model, runtime.live.model)
        store.activate(version)
    except NoSuchVersion:
        raise Problem(404, f"no such version: {version[:40]!r}; /models lists them") from None
    except ModelFileError as error:
        raise Problem(409, f"version {version} cannot be served: {error}") from None
    except StorageFull as error:
        raise full(error) from None
    except StorageError as error:
        raise busy(f"the model store is unavailable: {error}", 2) from None
    if runtime.follower is not None:
        runtime.follower.check()
    return flask.jsonify({"version": version, "current": runtime.live.version})


def _refuse_worse(version: str, model: Model, current: Model) -> None:
    """Raise a `Problem` 409 for a version whose scores are clearly worse than the current one's."""
    reason = clearly_worse(model.description, current.description)
    if reason:
        raise Problem(
            409,
            f"version {version} is clearly worse: {reason}. To activate it nevertheless, send "
            f"POST /models/{version}/activate?force=true",
            where={"option": "force", "version": current.description.version},
        )


def _stored(runtime: Runtime) -> list[dict[str, Any]]:
    if runtime.versions is None:
        return []
    try:
        runtime.store_initial()
        return runtime.versions.all()
    except StorageError as error:
        raise busy(f"the model store is unavailable: {error}", 2) from None
