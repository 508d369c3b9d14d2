"""TLS by gunicorn's own options: the event loop, Flask and refusals answer as they do without."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.serving import ROOT, Server, free_port
from tests.helpers.starting import start

CSV = "lat,long,depth,stations\n" + "-20,181,500,30\n" * 100_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost that it signs itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2"
    words = [*command.split(), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def https(certificate: Path) -> Iterator[httpx.Client]:
    """A client of a server with TLS, started as docs/operators.md says."""
    port = free_port()
    options = f"--certfile={certificate}/cert.pem --keyfile={certificate}/key.pem"
    environ = os.environ | {"GUNICORN_CMD_ARGS": options, "GPSERVE_MAX_BODY_BYTES": "5000000"}
    environ |= {"GPSERVE_BIND": f"127.0.0.1:{port}", "GPSERVE_DRAIN_SECONDS": "0.3"}
    log = certificate / "server.log"
    process = start([sys.executable, "-m", "gunicorn", "service.app:app"], environ, ROOT, log)
    server = Server(port, process, log)
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    url = f"https://localhost:{port}"

    def ready() -> bool:
        try:
            return client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    with httpx.Client(base_url=url, verify=context, timeout=PATIENCE_SECONDS) as client:
        until(ready)
        yield client
    assert server.stop() == 0
    assert "Traceback" not in log.read_text()


def test_small_requests_and_tables(https: httpx.Client) -> None:
    point = https.post("/predict", json={"points": [-20, 181, 500, 30]}).json()
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = https.post("/predict", content=CSV, headers=headers)
    lines = answer.text.splitlines()
    assert len(lines) == 100_001
    (row,) = set(lines[1:])
    mean, variance = map(float, row.split(",")[4:])
    assert (mean, variance) == pytest.approx((point["mean"], point["variance"]), rel=1e-9)


def test_refusals_arrive(https: httpx.Client) -> None:
    long = https.get("/model", headers={"X-Long": "x" * 100_000})
    assert (long.status_code, long.json()["status"]) == (431, 431)
    large = https.post("/predict", content=b"1,2,3,4\n" * 2_000_000)
    assert (large.status_code, large.json()["status"]) == (413, 413)


def test_plain_http_gets_no_answer(https: httpx.Client) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{https.base_url.port}/model")
