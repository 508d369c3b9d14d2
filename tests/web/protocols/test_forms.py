"""Every path answers an error in the form of its protocol, and every path is described."""

from __future__ import annotations

import re

import msgspec
import pytest
from flask import Flask

from service.app import create_app
from service.runtime.runtime import Runtime
from service.services.errors import UMBRIDGE_CALLS, busy, error_form, unusable
from service.settings import Settings


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(Runtime(Settings()))


def test_a_full_server_says_so_in_every_form() -> None:
    for path, want in (
        ("/v2/models/quakes/infer", {"error": "full"}),
        ("/Evaluate", {"error": {"type": "ServiceUnavailable", "message": "full"}}),
    ):
        status, kind, body = error_form(path)(busy("full", 2), "id")
        assert (status, kind) == (503, "application/json")
        assert msgspec.json.decode(body) == want
    status, kind, body = error_form("/predict")(busy("full", 2), "id")
    assert (status, kind) == (503, "application/problem+json")
    assert msgspec.json.decode(body)["request_id"] == "id"


def test_what_cannot_be_used_is_400_in_the_protocols() -> None:
    assert error_form("/v2")(unusable("no"), "")[0] == 400
    assert error_form("/Gradient")(unusable("no"), "")[0] == 400
    assert error_form("/predict")(unusable("no"), "")[0] == 422
    assert error_form("/v2x")(unusable("no"), "")[0] == 422


def test_the_forms_know_all_paths_of_their_protocols(app: Flask) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("umbridge.")]
    assert {rule.rule for rule in rules} == {f"/{call}" for call in UMBRIDGE_CALLS}


def test_every_route_of_the_protocols_is_described(app: Flask) -> None:
    described = app.test_client().get("/openapi.json").get_json()["paths"]
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in ("v2", "umbridge") and rule.rule != "/v2/":
            operations = described[re.sub(r"<(?:model:)?(\w+)>", r"{\1}", rule.rule)]
            assert {m.upper() for m in operations} == set(rule.methods or ()) - {"HEAD", "OPTIONS"}
