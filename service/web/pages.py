"""The page at `/` for a person who has only a browser, from static files of this package."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

import flask
from flask import Blueprint, current_app, request
from flask_swagger_ui import get_swaggerui_blueprint

from service.services.problems import Problem
from service.web.openapi import document

page = Blueprint("page", __name__)

FOLDER = Path(__file__).with_name("page")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """The page's files by name; their tags are of the content, so all replicas agree on them."""
    return {path.name: _read(path) for path in FOLDER.iterdir() if path.is_file()}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    media_type = mimetypes.types_map[path.suffix]
    return _File(content, media_type, hashlib.sha256(content).hexdigest()[:16])


@page.get("/")
def index() -> flask.Response:
    """Show the page to try the model."""
    return _respond("index.html")


@page.get("/page/<name>")
def file(name: str) -> flask.Response:
    """Send one of the page's scripts, styles and pictures."""
    return _respond(name)


def _respond(name: str) -> flask.Response:
    found = _files().get(name)
    if found is None:
        raise Problem(404, f"the page has no file {name[:80]!r}")
    response = flask.Response(found.content, content_type=f"{found.media_type}; charset=utf-8")
    response.set_etag(found.etag)
    response.headers["Cache-Control"] = "no-cache"  # kept, and asked for anew by its tag
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.make_conditional(request)
    return response


documentation = Blueprint("documentation", __name__)


@documentation.get("/openapi.json")
def openapi() -> flask.Response:
    """Describe the API as OpenAPI 3.1."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return flask.jsonify(document(app, app.extensions["gpserve"].live.model))


@documentation.get("/docs")
def to_docs() -> flask.Response:
    """Redirect to the pages by a relative address, which holds behind TLS and prefixes."""
    return cast(flask.Response, flask.redirect("docs/", 308))


def swagger() -> Blueprint:
    """The pages at ``/docs/`` that show the document, with scripts and styles from the package.

    All addresses are relative, so that they hold behind a prefix that an ingress strips.
    """
    here, api = ".", "../openapi.json"
    blueprint = get_swaggerui_blueprint(here, api, config={"app_name": "gpserve"})
    blueprint.url_prefix = "/docs"
    return cast(Blueprint, blueprint)
