"""Headers, the model's description and file, probes, metrics, and the API's own pages."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from service.gpr import GPR
from service.model import FloatArray
from tests.conftest import PRETRAINED
from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.serving import Server


def test_version_in_headers(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    version = gpr.description.version
    for answer in (
        http.post("/predict", json={"points": X[0].tolist()}),
        http.post("/predict", json={"points": X.tolist()}, headers={"Accept": "text/csv"}),
        http.get("/model"),
        http.get("/model/diagnostics"),
    ):
        assert answer.headers["X-Model-Version"] == version
        assert answer.headers["ETag"] == f'"{version}"'


@pytest.mark.parametrize("path", ["/", "/model", "/model.npz", "/page/page.js", "/healthz"])
def test_one_date(http: httpx.Client, path: str) -> None:
    assert len(http.get(path).headers.get_list("Date")) == 1


def test_if_match_pins_the_version(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    for pin in (f'"{gpr.description.version}"', "*", f'"x", "{gpr.description.version}"'):
        answer = http.post("/predict", json={"points": X.tolist()}, headers={"If-Match": pin})
        assert answer.status_code == 200, pin


def test_server_timing(http: httpx.Client, X: FloatArray) -> None:
    timing = http.post("/predict", json={"points": X[0].tolist()}).headers["Server-Timing"]
    assert re.fullmatch(r"parse;dur=[\d.]+,( queue;dur=[\d.]+,)? predict;dur=[\d.]+", timing)


def test_request_id_is_echoed_or_made(http: httpx.Client, X: FloatArray) -> None:
    body = {"points": X[0].tolist()}
    mine = http.post("/predict", json=body, headers={"X-Request-Id": "run-7/42"})
    assert mine.headers["X-Request-Id"] == "run-7/42"
    made = {http.post("/predict", json=body).headers["X-Request-Id"] for _ in range(5)}
    assert len(made) == 5
    long = http.post("/predict", json=body, headers={"X-Request-Id": "x" * 500})
    assert long.headers["X-Request-Id"] != "x" * 500


def test_workers_make_different_request_ids(server: Server) -> None:
    ids = {plainhttp.get(f"{server.url}/model").headers["X-Request-Id"] for _ in range(60)}
    assert len(ids) == 60


def test_model(http: httpx.Client, gpr: GPR) -> None:
    said = http.get("/model").json()
    assert said == {
        "name": gpr.description.name,
        "version": gpr.description.version,
        "kernel": "RBF",
        "feature_names": list(gpr.description.feature_names),
        "output_name": gpr.description.output_name,
        "training_points": gpr.description.training_points,
        "training_range": dict(
            zip(gpr.description.feature_names, gpr.description.training_range.tolist(), strict=True)
        ),
        "hyperparameters": gpr.description.hyperparameters,
        "scores": gpr.description.scores,
        "created": gpr.description.created,
        "categories": {},
        "arithmetic": gpr.arithmetic,
    }


def test_model_file_can_be_taken_home(http: httpx.Client, gpr: GPR, tmp_path: Path) -> None:
    answer = http.get("/model.npz")
    assert answer.content == PRETRAINED.read_bytes()
    home = tmp_path / "home.npz"
    home.write_bytes(answer.content)
    assert GPR.load(home).description.version == gpr.description.version


CONDITIONS = {
    "of this version": ('"{version}"', 206),
    "of another version": ('"000000000000"', 200),
    "weak": ('W/"{version}"', 200),
    "of the mark that Werkzeug would have": ('"1700000000.0-123-456"', 200),
    "a date, which two versions may share": ("Wed, 21 Oct 2099 07:28:00 GMT", 200),
    "no date": ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 200),
    "nonsense": ("nonsense", 200),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_download_is_resumed_for_the_same_file_only(
    http: httpx.Client, gpr: GPR, condition: str
) -> None:
    text, status = CONDITIONS[condition]
    headers = {"Range": "bytes=10-", "If-Range": text.format(version=gpr.description.version)}
    answer = http.get("/model.npz", headers=headers)
    assert answer.status_code == status
    file = PRETRAINED.read_bytes()
    assert answer.content == (file[10:] if status == 206 else file)
    assert answer.headers["ETag"] == f'"{gpr.description.version}"'
    assert "Last-Modified" not in answer.headers


@pytest.mark.parametrize("path", ["/model", "/model.npz", "/model/diagnostics"])
def test_not_modified(http: httpx.Client, gpr: GPR, path: str) -> None:
    headers = {"If-None-Match": f'"{gpr.description.version}"'}
    answer = http.get(path, headers=headers)
    assert answer.status_code == 304
    assert answer.content == b""


def test_probes(http: httpx.Client, gpr: GPR) -> None:
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.get("/readyz").json() == {"status": "ready", "version": gpr.description.version}
    assert http.head("/healthz").status_code == 200


def test_head_says_what_get_would(http: httpx.Client) -> None:
    answer = http.head("/model")
    assert answer.status_code == 200
    assert answer.content == b""


def test_docs_need_no_other_host(http: httpx.Client) -> None:
    page = http.get("/docs/", follow_redirects=True)
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert not re.match(r"(https?:)?//", link), link
        assert http.get(httpx.URL("/docs/").join(link).path).status_code == 200, link


def test_docs_redirects_to_its_page(http: httpx.Client) -> None:
    assert http.get("/docs", follow_redirects=True).status_code == 200
    redirect = http.get("/docs", headers={"Host": "gp.example"})
    assert redirect.status_code == 308
    assert redirect.headers["Location"] == "docs/"


def _without_items(node: object, where: str = "") -> list[str]:
    """Where a document speaks of an array without saying of what."""
    if isinstance(node, list):
        return [found for each in node for found in _without_items(each, where)]
    if not isinstance(node, dict):
        return []
    kinds = node.get("type", ())
    bare = "array" in ([kinds] if isinstance(kinds, str) else kinds) and "items" not in node
    inside = [f for key, each in node.items() for f in _without_items(each, f"{where}/{key}")]
    return [where, *inside] if bare else inside


def test_openapi_says_what_arrays_hold(http: httpx.Client) -> None:
    """Generators of clients leave out a schema with an array of nothing in particular."""
    assert _without_items({"a": {"type": ["null", "array"]}}) == ["/a"]
    assert _without_items(http.get("/openapi.json").json()) == []


def test_openapi_names_the_features_and_options(http: httpx.Client, gpr: GPR) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    asked = {p["name"] for p in document["paths"]["/predict"]["get"]["parameters"]}
    assert asked >= {*gpr.description.feature_names, "noise", "interval", "gradient", "samples"}
    assert {"/model", "/model.npz", "/healthz", "/readyz", "/metrics"} <= set(document["paths"])


def test_head_of_predict(http: httpx.Client, X: FloatArray, names: tuple[str, ...]) -> None:
    answer = http.head("/predict", params=dict(zip(names, X[0], strict=True)))
    assert answer.status_code == 200
    assert answer.content == b""


def test_options_says_what_is_allowed(http: httpx.Client) -> None:
    assert "POST" in http.options("/predict").headers["Allow"]


def test_curl_without_a_content_type(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    """`curl -d '{…}'` says that JSON is a form; it is read as what it is."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f'\n{{"points": {X[0].tolist()}}}'
    assert http.post("/predict", content=body, headers=headers).json()["mean"] == P[0, 0]


def test_metrics_sum_over_workers(server: Server, http: httpx.Client, X: FloatArray) -> None:
    def counted() -> float:
        text = http.get("/metrics").text
        found = re.search(
            r'^http_requests_total\{code="200",method="POST",route="/predict"\} ([\d.e+]+)$',
            text,
            re.MULTILINE,
        )
        return float(found[1]) if found else 0.0

    before = counted()
    for _ in range(30):  # a connection each, so that both workers get some
        plainhttp.post(f"{server.url}/predict", json={"points": X[0].tolist()})
    until(lambda: counted() >= before + 30)  # a worker counts after its answer has left
    assert counted() == before + 30


FILES: dict[str, tuple[str, str, dict[str, str], int]] = {
    "whole": ("GET", "/model.npz", {}, 200),
    "part": ("GET", "/model.npz", {"Range": "bytes=0-9"}, 206),
    "no such part": ("GET", "/model.npz", {"Range": "bytes=999999999-"}, 416),
    "not modified": ("GET", "/model.npz", {"If-None-Match": '"{version}"'}, 304),
    "head": ("HEAD", "/model.npz", {}, 200),
    "script": ("GET", "/docs/swagger-ui.css", {}, 200),
    "predict": ("HEAD", "/predict?lat=-20&long=181&depth=500&stations=40", {}, 200),
}


@pytest.mark.parametrize("name", FILES)
def test_every_request_ends_and_is_counted(http: httpx.Client, gpr: GPR, name: str) -> None:
    """Also one whose pieces nobody reads, or the server reads past our own."""

    def value(name: str) -> float:
        return sum(float(n) for n in re.findall(rf"^{name} (\S+)", http.get("/metrics").text, re.M))

    method, path, given, status = FILES[name]
    headers = {key: text.format(version=gpr.description.version) for key, text in given.items()}
    route = re.escape("/docs/<path:path>" if "docs" in path else path.partition("?")[0])
    counted = rf'http_requests_total\{{code="{status}",method="{method}",route="{route}"\}}'
    before, running = value(counted), value("http_requests_in_progress")
    assert http.request(method, path, headers=headers).status_code == status
    until(lambda: value(counted) == before + 1)
    until(lambda: value("http_requests_in_progress") == running)


def test_answers_are_not_to_be_guessed(http: httpx.Client) -> None:
    for path in ("/", "/docs/", "/model", "/predict", "/healthz", "/openapi.json", "/nothing"):
        assert http.get(path).headers["x-content-type-options"] == "nosniff", path
    policy = http.get("/docs/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sha256-" in policy


def test_metrics_have_templates_for_routes(http: httpx.Client) -> None:
    http.get("/a/path/with/secrets")
    text = http.get("/metrics").text
    assert "secrets" not in text
    assert 'route="unmatched"' in text
    for name in (
        "http_request_duration_seconds_bucket",
        "http_requests_in_progress",
        "http_requests_per_second",
        "predict_backlog_seconds",
        "predicted_points_total",
        "prediction_batch_points_bucket",
        "prediction_seconds_bucket",
        "model_info",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ):
        assert re.search(f"^{name}", text, re.MULTILINE), name
