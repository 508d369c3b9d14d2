"""Who may do what: keys, roles, limits, and callers without a key."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.runtime.callers import ROLES, Role, including
from service.runtime.runtime import Runtime
from service.settings import Settings
from service.storage.redis import connect
from tests.helpers.stack import TOKEN, bearer, write_keys

POINT = "/predict?lat=-20&long=181&depth=500&stations=30"

ROUTES: dict[str, str] = {
    "open": """
        GET /healthz
        GET /readyz
        GET /metrics
        GET /v2/health/live
        GET /v2/health/ready
    """,
    "read": """
        GET /
        GET /page/<name>
        GET /docs
        GET /docs/
        GET /docs/<path:path>
        GET /openapi.json
        GET /model
        GET /model.npz
        GET /model/diagnostics
        GET /models
        GET /models/<version>
        GET /jobs
        GET /jobs/<id>
        GET /jobs/<id>/results
        DELETE /jobs/<id>
        GET /v2
        GET /v2/
        GET /v2/models/stats
        GET /v2/models/<model:name>
        GET /v2/models/<model:name>/ready
        GET /v2/models/<model:name>/stats
        GET /v2/models/<model:name>/versions/<version>
        GET /v2/models/<model:name>/versions/<version>/ready
        GET /v2/models/<model:name>/versions/<version>/stats
        POST /v2/repository/index
        GET /Info
        POST /ModelInfo
        POST /InputSizes
        POST /OutputSizes
    """,
    "predict": """
        GET /predict
        POST /predict
        POST /v2/models/<model:name>/infer
        POST /v2/models/<model:name>/versions/<version>/infer
        POST /Evaluate
        POST /Gradient
        POST /ApplyJacobian
        POST /ApplyHessian
    """,
    "train": "POST /train",
    "admin": """
        POST /models
        POST /models/<version>/activate
    """,
}
"""Every route of the service, under the role that it requires."""

REQUIRED = {
    line.strip(): role for role, lines in ROUTES.items() for line in lines.strip().split("\n")
}


@pytest.fixture(scope="module", params=["predict", "read", "none"])
def anonymous(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def client(anonymous: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """An application with a queue that does not answer, so that allowed job requests are 503."""
    folder = tmp_path_factory.mktemp("access")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.jobs.jobs.connect", partial(connect, retries=0))
        yield application(folder, anonymous=anonymous, redis_url="redis://127.0.0.1:9/0")


def application(folder: Path, **settings: str) -> FlaskClient:
    keys = str(write_keys(folder / "keys.toml"))
    defaults = {"keys": keys, "token": "secret", "store": f"file://{folder}"}
    given = {f"GPSERVE_{name.upper()}": value for name, value in (defaults | settings).items()}
    return create_app(Runtime(Settings.from_environ(given))).test_client()


def test_the_table_has_every_route(client: FlaskClient) -> None:
    routes = {
        f"{method} {rule.rule}"
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == REQUIRED.keys()


CALLERS: dict[str, tuple[dict[str, str], list[Role]]] = {
    "reader": (bearer("reader"), ["read"]),
    "mine": (bearer("mine"), ["predict"]),
    "trainer": (bearer("trainer"), ["train"]),
    "token": (TOKEN, ["admin"]),
    "a key as a password": (
        {"Authorization": "Basic " + base64.b64encode(b"anyone:secret").decode()},
        ["predict"],
    ),
}


@pytest.mark.parametrize("route", REQUIRED)
def test_each_role_opens_its_routes_and_no_others(
    client: FlaskClient, anonymous: str, route: str
) -> None:
    required = REQUIRED[route]
    assert status(client, route, bearer("nobody")) == (401 if required != "open" else 200)
    for headers, roles in CALLERS.values():
        may = required == "open" or required in including(roles)
        assert (status(client, route, headers) != 403) == may, (route, roles)
    without = {"predict": {"read", "predict"}, "read": {"read"}, "none": set()}[anonymous]
    may = required == "open" or (required in without and route != "GET /jobs")
    assert (status(client, route, {}) != 401) == may, route


def status(client: FlaskClient, route: str, headers: dict[str, str]) -> int:
    method, _, path = route.partition(" ")
    path = path.replace("<model:name>", "quakes").replace("<version>", "0123456789ab")
    path = path.replace("<name>", "index.html").replace("<id>", "1").replace("<path:path>", "a.js")
    with client.open(path, method=method, headers=headers, json={}) as answer:
        if answer.status_code in (401, 403):
            assert (
                method == "HEAD"
                or b"key" in answer.data
                or b"token" in answer.data
                or (b"role" in answer.data)
            )
        return answer.status_code


def test_roles_include_what_they_need() -> None:
    assert including(["admin"]) == set(ROLES)
    assert including(["train"]) == {"train", "read"}


def test_refusals_have_the_form_of_the_protocol(tmp_path: Path) -> None:
    client = application(tmp_path, anonymous="none")
    ours = client.get(POINT)
    assert (ours.status_code, ours.content_type) == (401, "application/problem+json")
    bearer_, basic = ours.headers.getlist("WWW-Authenticate")
    assert (bearer_, basic.partition(" ")[0]) == ("Bearer", "Basic")
    assert client.post("/train").headers.getlist("WWW-Authenticate") == ["Bearer"]
    assert (
        ours.get_json()["detail"] == "a key with the role 'predict' is required, as a bearer token"
    )
    v2 = client.get("/v2/models/quakes")
    assert (v2.status_code, v2.content_type) == (401, "application/json")
    assert list(v2.get_json()) == ["error"]
    bridge = client.post("/Evaluate", json={}, headers=bearer("reader"))
    assert bridge.get_json()["error"]["type"] == "Forbidden"
    assert "'key:reader' has: read" in bridge.get_json()["error"]["message"]


def test_basic_credentials_of_an_ingress_are_ignored(tmp_path: Path) -> None:
    client = application(tmp_path)
    basic = {"Authorization": "Basic " + base64.b64encode(b"ada:of the ingress").decode()}
    assert client.get(POINT, headers=basic).status_code == 200
    assert client.get(POINT, headers={"Authorization": "Basic ?"}).status_code == 200
    assert client.post("/train", headers=basic).status_code == 401


def test_a_repeated_authorization_is_wrong(tmp_path: Path) -> None:
    client = application(tmp_path)
    twice = [("Authorization", "Bearer secret"), ("Authorization", "Bearer key-of-mine")]
    assert client.get(POINT, headers=twice).status_code == 401


def test_without_any_credentials_to_know_a_bearer_token_is_somebody_elses() -> None:
    client = create_app(Runtime(Settings())).test_client()
    assert client.get(POINT, headers=bearer("mine")).status_code == 200
    refused = client.post("/train", headers=bearer("mine"))
    assert refused.status_code == 403
    assert "GPSERVE_TOKEN or GPSERVE_KEYS" in refused.get_json()["detail"]


@pytest.fixture
def limited(tmp_path: Path) -> FlaskClient:
    limits = "requests_per_second = 2\npoints_per_second = 1"
    keys = write_keys(tmp_path / "limits.toml", mine=limits, reader="requests_per_second = 0.01")
    return application(tmp_path, keys=str(keys))


def test_requests_beyond_the_limit_are_429_and_say_when_to_come_again(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)  # all within one second, however slow
    answers = [limited.get("/model", headers=bearer("mine")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=2;w=1'
    assert answers[0].headers["RateLimit"] == '"requests";r=1;t=1'
    assert answers[2].headers["RateLimit"].startswith('"requests";r=0')
    assert answers[2].headers["Retry-After"] == "1"
    said = answers[2].get_json()["detail"]
    assert said == "this key is limited to 2 requests per second: try again in 1 s"
    assert limited.get("/model", headers=bearer("other")).status_code == 200
    assert limited.get("/model").status_code == 200
    assert limited.get("/model", headers=bearer("reader")).status_code == 200
    rarely = limited.get("/model", headers=bearer("reader"))
    assert (rarely.status_code, rarely.headers["RateLimit-Policy"]) == (429, '"requests";q=1;w=100')
    assert "limited to 1 request per 100 s" in rarely.get_json()["detail"]


TABLE = "lat,long,depth,stations\n" + "-20,181,500,30\n" * 6
TENSOR = {"name": "x", "shape": [6, 4], "datatype": "FP64", "data": [1.0] * 24}
SIX_POINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "JSON": ("/predict", {"json": {"points": [[-20, 181, 500, 30]] * 6}}),
    "CSV": ("/predict", {"data": TABLE, "content_type": "text/csv"}),
    "v2": ("/v2/models/quakes/infer", {"json": {"inputs": [TENSOR]}}),
    "UM-Bridge": (
        "/Evaluate",
        {"json": {"name": "quakes", "input": [[-20, 181, 500, 30] * 6], "config": {"n": 6}}},
    ),
}


@pytest.mark.parametrize("format", SIX_POINTS)
def test_points_are_counted_in_every_format(limited: FlaskClient, format: str) -> None:
    path, request = SIX_POINTS[format]
    first = limited.post(path, headers=bearer("mine"), **request)
    assert first.status_code == 200, first.text
    assert '"points";q=10;w=10' in first.headers["RateLimit-Policy"]
    assert '"points";r=4;t=' in first.headers["RateLimit"]
    second = limited.post(path, headers=bearer("mine"), **request)
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) <= 10


def test_more_points_than_the_limit_ever_allows_are_413(limited: FlaskClient) -> None:
    rows = {"points": [[-20, 181, 500, 30]] * 11}
    answer = limited.post("/predict", json=rows, headers=bearer("mine"))
    assert answer.status_code == 413
    assert answer.get_json()["limit"] == 10
    assert answer.get_json()["detail"] == (
        "the request has 11 points, but this key is limited to 10 per 10 s: send fewer points, or "
        "submit a job"
    )
    assert limited.post("/predict", json=rows).status_code == 200


def test_a_path_with_other_slashes_is_not_redirected() -> None:
    client = create_app(Runtime(Settings())).test_client()
    assert client.get("/v2//models/stats").status_code == 404
    assert client.get("/docs").status_code == 308  # to the same host, without the query
