"""The program that `helm test` runs detects a wrong answer."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from service.gpr import GPR
from tests.deploy.chart.conftest import CHART, ROOT
from tests.helpers.scripted import answering


@contextmanager
def serving(gpr: GPR, error: float, key: str = "") -> Iterator[str]:
    """Run a service whose means are wrong by a factor, and which may need a key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if key and self.path != "/readyz" and self.headers["Authorization"] != f"Bearer {key}":
                self.send_error(401)
                return
            self.answer((ROOT / "service" / "pretrained.npz").read_bytes())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            mean, variance = gpr.predict(np.array(body["points"])).T
            answer = {"mean": (mean * (1 + error)).tolist(), "variance": variance.tolist()}
            self.answer(json.dumps(answer).encode())

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(io.BytesIO(body).getvalue())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(("error", "passes"), [(0.0, True), (1e-7, False)])
def test_a_wrong_answer_is_detected(gpr: GPR, error: float, passes: bool) -> None:
    with serving(gpr, error) as url:
        command = [sys.executable, str(CHART / "files" / "check_prediction.py"), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == passes, done.stderr
    assert ("equal the known answers" in done.stdout) == passes


@pytest.mark.parametrize(
    ("token", "said", "code"),
    [
        ("secret", "equal the known answers", 0),
        ("", "ready; its answers are not compared", 0),
        ("wrong", "401", 1),
    ],
)
def test_a_service_that_needs_a_key_is_asked_with_the_token(
    gpr: GPR, token: str, said: str, code: int
) -> None:
    with serving(gpr, 0.0, "secret") as url:
        command = [sys.executable, str(CHART / "files" / "check_prediction.py"), url]
        environ = os.environ | {"GPSERVE_TOKEN": token}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert said in done.stdout + done.stderr
    assert done.returncode == code


def test_a_redirect_gets_no_key() -> None:
    with answering((200, {}), (404, b"")) as (other, seen):
        moved = {"Location": f"{other}/elsewhere"}
        with answering((302, b"", moved), (302, b"", moved)) as (url, _):
            command = [sys.executable, str(CHART / "files" / "check_prediction.py"), url]
            environ = os.environ | {"GPSERVE_TOKEN": "secret"}
            subprocess.run(command, env=environ, capture_output=True, check=False)
    assert [path for path, *_ in seen] == ["/elsewhere", "/elsewhere"]
    assert all("Authorization" not in head for _, head, _ in seen)
