"""The pages on the API: its OpenAPI document, and Swagger's view of it."""

from __future__ import annotations

from typing import cast

import flask
from flask import Blueprint, current_app
from flask_swagger_ui import get_swaggerui_blueprint

from service.web.openapi import document

pages = Blueprint("pages", __name__)


@pages.get("/openapi.json")
def openapi() -> flask.Response:
    """Describe the API as OpenAPI 3.1."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return flask.jsonify(document(app, app.extensions["gpserve"].live.model))


@pages.get("/docs")
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
