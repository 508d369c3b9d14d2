"""Routes of the stored versions: publish, list and activate them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
from flask import Blueprint, request

from service.model import Model, ModelFileError
from service.runtime.live import load_version
from service.runtime.proving import prove
from service.runtime.runtime import Runtime
from service.services.body import refuse_larger
from service.services.errors import Problem, busy, full, malformed, unusable
from service.services.options import Activation, Publication, converted, once
from service.storage.blobs import StorageError, StorageFull
from service.storage.comparison import clearly_worse
from service.storage.versions import NoSuchVersion, Versions
from service.web.body import opened
from service.web.hooks import client_has_left, current_runtime

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


@versions.post("/models")
def publish() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Store a model file as a version, once it is known that every replica can serve it."""
    runtime = current_runtime()
    store = _writable(runtime)
    options = converted(once(request.args.items(multi=True)), Publication, text=True)
    with _received(runtime.settings.max_model_bytes) as path, storing():
        description = _proven(path, runtime)
        runtime.store_initial()
        version = store.add_described(description, path)
    if options.activate:
        _activate(runtime, store, version, options.force)
    said = description | {"version": version, "current": runtime.live.version == version}
    return said, 201, {"Location": f"/models/{version}"}


@versions.get("/models/<version>")
def version(version: str) -> flask.Response:
    """Describe a stored version."""
    runtime = current_runtime()
    with storing():
        try:
            if runtime.versions is None:
                raise NoSuchVersion(version)
            said = runtime.versions.described(version)
        except NoSuchVersion:
            raise _unknown(version) from None
    return flask.jsonify(said | {"current": runtime.live.version == version})


def _unknown(version: str) -> Problem:
    return Problem(404, f"no such version: {version[:40]!r}; /models lists them")


@contextmanager
def _received(limit: int) -> Iterator[Path]:
    """Yield the body as a file; raise a `Problem` 413 beyond `limit` bytes."""
    detail = f"the model file is larger than {limit} bytes"
    refuse_larger(request.content_length, limit, detail)
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        shutil.copyfileobj(opened(request, limit), file)
        file.flush()
        if client_has_left(request.environ):
            raise malformed("the body was cut off")
        yield Path(file.name)


def _proven(path: Path, runtime: Runtime) -> dict[str, Any]:
    try:
        return prove(path, runtime.live.class_name, runtime.settings.max_model_bytes)
    except ModelFileError as error:
        raise unusable(f"the model file cannot be served: {error}") from None


@versions.post("/models/<version>/activate")
def activate(version: str) -> flask.Response:
    """Activate a stored version; every replica serves it within two seconds."""
    runtime = current_runtime()
    store = _writable(runtime)
    options = converted(once(request.args.items(multi=True)), Activation, text=True)
    _activate(runtime, store, version, options.force)
    return flask.jsonify({"version": version, "current": runtime.live.version})


def _writable(runtime: Runtime) -> Versions:
    """Return the store; raise a `Problem` 503 when none is configured."""
    if runtime.versions is None:
        raise Problem(503, "no model store is configured: set GPSERVE_STORE or REDIS_URL")
    return runtime.versions


@contextmanager
def storing() -> Iterator[None]:
    """Turn an error of the store into a `Problem` 503, or 507 when it is full."""
    try:
        yield
    except StorageFull as error:
        raise full(error) from None
    except StorageError as error:
        raise busy(f"the model store is unavailable: {error}", 2) from None


def _activate(runtime: Runtime, store: Versions, version: str, force: bool) -> None:
    with storing():
        try:
            runtime.store_initial()
            model, _ = load_version(store, version, runtime.live.class_name)
            if not force:
                _refuse_worse(version, model, runtime.live.model)
            store.activate(version)
        except NoSuchVersion:
            raise _unknown(version) from None
        except ModelFileError as error:
            raise Problem(409, f"version {version} cannot be served: {error}") from None
    if runtime.follower is not None:
        runtime.follower.check()


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
