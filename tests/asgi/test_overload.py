"""Under overload, requests are refused at once, and every accepted one is answered."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS, report_if_late, until
from tests.helpers.probes import Probe
from tests.helpers.serving import Server, serving
from tests.helpers.wire import read_answer, read_next

TOY = "tests.helpers.toys:Slow"
GATED = "tests.helpers.toys:Gated"
COSTLY = "tests.helpers.toys:Costly"
FULL = {"max_backlog_seconds": 0, "header_timeout_seconds": PATIENCE_SECONDS}
"""Only one small request is accepted; the headers of others may be slow."""

POINT = {"lat": 1, "long": 2, "depth": 3, "stations": 4}
MANY = {"points": [[1, 2, 3, 4]] * 100}


def test_too_many_small_requests_get_503_and_a_time_to_come_again(tmp_path: Path) -> None:
    statuses: Counter[int] = Counter()
    retry: list[str] = []

    def call(url: str) -> None:
        with plainhttp.Client() as client:
            for _ in range(10):
                answer = client.post(f"{url}/predict", json=MANY)
                statuses[answer.status_code] += 1
                if answer.status_code == 503:
                    retry.append(answer.headers["Retry-After"])
                    assert answer.json()["detail"].startswith("about ")

    with serving(tmp_path, model_class=TOY, max_backlog_seconds=0.1) as server:
        threads = [threading.Thread(target=call, args=(server.url,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert plainhttp.post(f"{server.url}/predict", json=POINT).status_code == 200
    assert set(statuses) == {200, 503}
    assert sum(statuses.values()) == 160
    assert all(int(seconds) >= 1 for seconds in retry)


def _is_computing(server: Server) -> bool:
    """Whether accepted work is not answered yet, by a gauge that is updated every second."""
    return "predict_backlog_seconds 0.0\n" not in plainhttp.get(f"{server.url}/metrics").text


def test_a_full_server_refuses_before_the_body_comes(tmp_path: Path, gate: Path) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n"
    )
    with (
        serving(tmp_path, model_class=COSTLY, **FULL) as server,
        server.connect() as wire,
        ThreadPoolExecutor(1) as thread,
    ):
        gate.touch()
        accepted = thread.submit(plainhttp.post, f"{server.url}/predict", json=POINT)
        until(lambda: _is_computing(server))
        wire.sendall(head)
        assert read_answer(wire)[0] == 503
        gate.unlink()
        assert accepted.result().status_code == 200


def test_a_refused_connection_stays_in_order(tmp_path: Path, gate: Path) -> None:
    body = json.dumps(POINT).encode()
    request = b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    query = b"GET /predict?lat=1&long=2&depth=3&stations=4 HTTP/1.1\r\nHost: gp\r\n\r\n"
    with (
        serving(tmp_path, model_class=COSTLY, **FULL) as server,
        server.connect() as wire,
        ThreadPoolExecutor(1) as thread,
    ):
        gate.touch()
        stream = wire.makefile("rb")
        accepted = thread.submit(plainhttp.post, f"{server.url}/predict", json=POINT)
        until(lambda: _is_computing(server))
        wire.sendall(request * 3 + request[:-7])
        ids = {_refused(stream) for _ in range(4)}
        wire.sendall(request[-7:] + query)
        assert len({*ids, _refused(stream)}) == 5
        gate.unlink()
        assert accepted.result().status_code == 200
        wire.sendall(request)
        status, _, answer = read_next(stream)
        assert (status, json.loads(answer)["mean"]) == (200, 10)
        counted = 'http_requests_total{code="503",method="POST",route="/predict"} 4.0'
        assert counted in plainhttp.get(f"{server.url}/metrics").text


def test_refused_connections_rest_so_that_a_new_one_is_answered(tmp_path: Path, gate: Path) -> None:
    """Clients that send again at once are refused 500 times a second, however many they are."""
    seconds, connections = 2.0, 64
    with (
        serving(tmp_path, model_class=COSTLY, keepalive_requests=10, **FULL) as server,
        ThreadPoolExecutor(1) as thread,
    ):
        gate.touch()
        accepted = thread.submit(plainhttp.post, f"{server.url}/predict", json=POINT)
        until(lambda: _is_computing(server))
        with Probe(server.url) as probe:
            refused = _insist(server, connections, seconds)
        gate.unlink()
        assert accepted.result().status_code == 200
        assert connections < refused < 1.5 * 500 * seconds + connections
        assert "Traceback" not in server.log.read_text()
    report_if_late("a probe beside clients that insist", probe.slowest, 0.5)


def _insist(server: Server, connections: int, seconds: float) -> int:
    """Send again whenever a request is refused; return how often that was."""
    body = json.dumps(MANY).encode()
    request = b"POST /predict HTTP/1.1\r\nHost: gp\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    refused = 0
    end = time.monotonic() + seconds
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(connections):
            wire = stack.enter_context(server.connect())
            wire.sendall(request)
            selector.register(wire, selectors.EVENT_READ)
        while time.monotonic() < end:
            for key, _ in selector.select(0.1):
                wire = cast(socket.socket, key.fileobj)
                status, headers, _ = read_answer(wire)
                assert status == 503
                refused += 1
                if headers.get("connection") == "close":
                    selector.unregister(wire)
                    wire.close()
                    wire = stack.enter_context(server.connect())
                    selector.register(wire, selectors.EVENT_READ)
                wire.sendall(request)
    return refused


def _refused(stream: BinaryIO) -> str:
    """Read a 503 and return its request id."""
    status, headers, body = read_next(stream)
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert int(headers["retry-after"]) >= 1
    said = json.loads(body)["request_id"]
    assert said == headers["x-request-id"]
    return str(said)


def test_uploads_beyond_the_places_are_refused_while_probes_answer(
    tmp_path: Path, gate: Path
) -> None:
    table = "lat,long,depth,stations\n" + "1,2,3,4\n" * 30_000
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    statuses: Counter[int] = Counter()

    def upload(url: str) -> None:
        answer = plainhttp.post(f"{url}/predict", content=table, headers=headers)
        statuses[answer.status_code] += 1

    with serving(tmp_path, model_class=GATED, threads=1, max_waiting_uploads=1) as server:
        gate.touch()
        threads = [threading.Thread(target=upload, args=(server.url,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: statuses[503] == 4)
        assert plainhttp.get(f"{server.url}/healthz").status_code == 200
        assert plainhttp.get(f"{server.url}/metrics").status_code == 200
        gate.unlink()
        for thread in threads:
            thread.join()
    assert statuses == {200: 2, 503: 4}


def test_an_error_in_the_model_is_500_with_an_id_and_no_trace(tmp_path: Path) -> None:
    with serving(tmp_path, model_class="tests.helpers.toys:Broken") as server:
        for body in ({**POINT, "lat": 9}, {"points": [[9, 1, 1, 1]] * 2}):
            answer = plainhttp.post(f"{server.url}/predict", json=body)
            assert answer.status_code == 500
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
            assert "nine" not in answer.text
        assert "nine is too much" in server.log.read_text()
        metrics = plainhttp.get(f"{server.url}/metrics").text
        assert 'http_requests_total{code="500",method="POST",route="/predict"} 2.0' in metrics


def test_a_model_without_options_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, model_class="tests.helpers.toys:Sum") as server:
        answer = plainhttp.post(f"{server.url}/predict", json={**POINT, "gradient": True})
        assert answer.status_code == 422
        assert answer.json()["detail"] == "Sum has no gradient"
        assert plainhttp.get(f"{server.url}/model").json()["name"] == "sum"
        assert json.loads(plainhttp.post(f"{server.url}/predict", json=POINT).text)["mean"] == 10
