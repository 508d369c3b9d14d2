"""Start, stop and drain: SIGTERM under load loses no request; a broken model prevents a start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.conftest import PRETRAINED
from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.serving import FLASK_ALONE, ROOT, Server, free_port, serving, wait_ready

POINT = {"lat": -20.1, "long": 181.5, "depth": 500, "stations": 40}


class Caller(threading.Thread):
    """Calls until it is asked to reconnect, as behind a Service; records what was lost."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.answered = 0
        self.lost: list[str] = []

    def run(self) -> None:
        with plainhttp.Client() as client:
            while True:
                try:
                    answer = client.post(f"{self.url}/predict", json=POINT)
                except httpx.TransportError as error:
                    self.lost.append(repr(error))
                    return
                if answer.status_code != 200:
                    self.lost.append(answer.text)
                self.answered += 1
                if answer.headers.get("Connection") == "close":
                    return


DRAIN_SECONDS = 60
"""Longer than any caller may wait for a CPU; `_end_drain` ends it early."""


def _end_drain(server: Server) -> None:
    """Send the workers a second SIGTERM, which the master does not: they stop at once."""
    for pid in server.workers:
        os.kill(pid, signal.SIGTERM)


def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, drain_seconds=DRAIN_SECONDS) as server:
        callers = [Caller(server.url) for _ in range(8)]
        for caller in callers:
            caller.start()
        until(lambda: min(caller.answered for caller in callers) >= 10)
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(PATIENCE_SECONDS)
        _end_drain(server)
        assert server.process.wait(PATIENCE_SECONDS) == 0
    assert [lost for caller in callers for lost in caller.lost] == []


def test_a_draining_server_is_not_ready_and_says_close(tmp_path: Path) -> None:
    with serving(tmp_path, drain_seconds=DRAIN_SECONDS) as server, plainhttp.Client() as client:
        assert "Connection" not in client.get(f"{server.url}/readyz").headers
        server.process.send_signal(signal.SIGTERM)
        until(lambda: client.get(f"{server.url}/readyz").status_code == 503)
        answer = client.get(f"{server.url}/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "draining"}
        assert answer.headers["Connection"] == "close"
        assert client.post(f"{server.url}/predict", json=POINT).status_code == 200
        assert client.get(f"{server.url}/healthz").status_code == 200
        _end_drain(server)


def test_a_drain_ends_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path, drain_seconds=0.3) as server:
        assert server.stop() == 0


def test_a_long_upload_is_finished_after_sigterm(tmp_path: Path) -> None:
    rows = 60_000
    table = b"lat,long,depth,stations\n" + b"-20,181,500,40\n" * rows
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    with (
        serving(tmp_path, graceful_seconds=120) as server,
        httpx.stream(
            "POST",
            f"{server.url}/predict",
            content=table,
            headers=headers,
            timeout=PATIENCE_SECONDS,
        ) as answer,
    ):
        server.process.send_signal(signal.SIGTERM)
        lines = sum(1 for _ in answer.iter_lines())
    assert lines == rows + 1


def shows_its_model(server: Server) -> bool:
    """Whether the background threads were started, since the metrics show the model then."""
    return "\nmodel_info{" in plainhttp.get(f"{server.url}/metrics").text


def test_flask_alone_starts_and_stops_as_well(tmp_path: Path) -> None:
    with serving(tmp_path, *FLASK_ALONE) as server:
        assert plainhttp.post(f"{server.url}/predict", json=POINT).status_code == 200
        assert shows_its_model(server)
        assert server.stop() == 0
        assert "gunicorn.access" not in server.log.read_text()


def test_gunicorns_access_log_can_be_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, *FLASK_ALONE, "--access-logfile=-") as server:
        plainhttp.post(f"{server.url}/predict", json=POINT)
        until(lambda: "POST /predict" in server.log.read_text())


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (worker,) = server.workers
        os.kill(worker, signal.SIGKILL)
        wait_ready(server)
        assert plainhttp.post(f"{server.url}/predict", json=POINT).status_code == 200
        assert server.workers != [worker]


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("MODEL", "missing.npz", "missing.npz"),
        ("MODEL_CLASS", "nowhere:Nothing", "nowhere"),
        ("MODEL_CLASS", "pathlib:Path", "not a subclass of Model"),
        ("THREADS", "many", "GPSERVE_THREADS"),
        ("THREADS", "0", "GPSERVE_THREADS"),
        ("TREADS", "8", "GPSERVE_TREADS is not a setting"),
    ],
)
def test_a_wrong_setting_stops_the_start(setting: str, value: str, says: str) -> None:
    done = _start_and_fail({f"GPSERVE_{setting}": value})
    assert done.returncode != 0
    assert says in done.stderr


def test_a_broken_model_stops_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(PRETRAINED.read_bytes()[:5000])
    done = _start_and_fail({"GPSERVE_MODEL": str(broken)})
    assert done.returncode != 0
    assert "broken.npz" in done.stderr


def _start_and_fail(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gunicorn", "service.app:app"]
    return subprocess.run(
        [*command, f"--bind=127.0.0.1:{free_port()}"],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


_NOT_ON_5001 = """
import runpy, sys
from flask import Flask

run = Flask.run

def elsewhere(app, *, port, **options):
    assert port == 5001
    run(app, port=int(sys.argv[1]), **options)

Flask.run = elsewhere
runpy.run_path("run.py", run_name="__main__")
"""
"""Another process may listen on 5001 while the tests run."""


def test_the_development_server_listens_on_5001(tmp_path: Path) -> None:
    log, port = tmp_path / "run.log", free_port()
    command = [sys.executable, "-c", _NOT_ON_5001, str(port)]
    with log.open("wb") as err:
        server = Server(port, subprocess.Popen(command, cwd=ROOT, stderr=err), log)
    try:
        wait_ready(server)
        assert plainhttp.post(f"{server.url}/predict", json=POINT).status_code == 200
        assert shows_its_model(server)
    finally:
        server.stop()
