"""What a browser shows: the page at `/`, the API's documentation, and the OpenAPI document."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

import flask
from flask import Blueprint, current_app, request
from flask_swagger_ui import get_swaggerui_blueprint

from service.services.errors import Problem

blueprint = Blueprint("pages", __name__)

FOLDER = Path(__file__).with_name("page")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@blueprint.before_request
def _ignore_if_match() -> None:
    """Serve a page whatever ``If-Match`` says: Werkzeug would send it with the status 412."""
    request.environ.pop("HTTP_IF_MATCH", None)


@blueprint.get("/")
def index() -> flask.Response:
    """Show the page for trying the model."""
    return _respond("index.html")


@blueprint.get("/page/<name>")
def file(name: str) -> flask.Response:
    """Return one of the page's scripts, styles and pictures."""
    return _respond(name)


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """The page's files by name; an ETag depends on the content alone, so all replicas agree."""
    return {path.name: _read(path) for path in FOLDER.iterdir() if path.is_file()}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    media_type = mimetypes.types_map[path.suffix]
    return _File(content, media_type, hashlib.sha256(content).hexdigest()[:16])


def _respond(name: str) -> flask.Response:
    found = _files().get(name)
    if found is None:
        raise Problem(404, f"the page has no file {name[:80]!r}")
    response = flask.Response(found.content, content_type=f"{found.media_type}; charset=utf-8")
    response.set_etag(found.etag)
    response.headers["Cache-Control"] = "no-cache"  # browsers may keep it, but must revalidate
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.make_conditional(request)
    return response


@blueprint.get("/openapi.json")
def openapi() -> flask.Response:
    """Describe this API as an OpenAPI 3.1 document."""
    # Imported late, so that processes which are never asked for the document start faster.
    from service.web.openapi import document

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return flask.jsonify(document(app, app.extensions["gpserve"].live.model))


@blueprint.get("/docs")
def to_docs() -> flask.Response:
    """Redirect to ``docs/``; a relative address also works behind TLS and path prefixes."""
    return cast(flask.Response, flask.redirect("docs/", 308))


def swagger_ui() -> Blueprint:
    """Return the pages at ``/docs/``, whose scripts and styles come with the package.

    All addresses are relative, so that they work behind an ingress that strips a path prefix.
    """
    here, api = ".", "../openapi.json"
    swagger = get_swaggerui_blueprint(here, api, config={"app_name": "gpserve"})
    swagger.url_prefix = "/docs"
    swagger.before_request(_ignore_if_match)
    swagger.after_request(_restrict_scripts)
    return cast(Blueprint, swagger)


def _restrict_scripts(response: flask.Response) -> flask.Response:
    """Allow Swagger UI's own script, which its page contains, and nothing from elsewhere."""
    if response.mimetype == "text/html":
        scripts = re.findall(rb"<script>(.*?)</script>", response.get_data(), re.DOTALL)
        hashes = [b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
        allowed = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src {allowed}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'self'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
    return response
