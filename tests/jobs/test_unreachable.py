"""A Redis that cannot be used: jobs get a 503 soon, and the log says what is wrong."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from service.jobs.jobs import Jobs, reachable
from service.services.errors import Problem
from service.settings import Settings
from service.storage.redis import connect, explained
from tests.helpers import plainhttp
from tests.helpers.patience import report_if_late, until
from tests.helpers.serving import free_port, serving
from tests.helpers.stack import stack

_SECONDS = 2.0
_FAR_TOO_LONG = 9.0
"""Before there were bounds for each step, an answer took 14 to 40 s."""

SILENT = b""
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
ADVICE = "check the user and the password"
READ_ONLY = b"-READONLY You can't write against a read only replica.\r\n"


@contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """A server that answers every command with the same bytes; an alert closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:

        def serve(connection: socket.socket) -> None:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(answer * max(1, data.count(b"*")))
                    if answer == TLS_ALERT:
                        connection.close()
            except OSError:
                pass

        def accept() -> None:
            while True:
                try:
                    connection = connections.enter_context(listener.accept()[0])
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def _dropping() -> Iterator[str]:
    """An address that answers no new connection, as behind a firewall: its queue is full."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("rediss://", SILENT, "Timeout connecting to server (if it does not speak TLS"),
        ("redis://", TLS_ALERT, "rediss://"),
        ("redis://", SILENT, "Timeout reading from socket"),
        ("redis://", None, "Timeout connecting to server"),
        ("redis://", LOADING, "Redis is loading the dataset"),
        ("redis://:secret-word@", WRONG, "invalid username-password pair"),
        ("redis://:secret-word@", WRONG, ADVICE),
        ("redis://", READ_ONLY, "read only replica"),
    ],
)
def test_a_job_call_gets_503_soon_and_the_log_says_why(
    scheme: str, answer: bytes | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with _dropping() if answer is None else _answering(answer) as address:
        url = scheme + address
        started = time.monotonic()
        with pytest.raises(Problem) as raised, reachable():
            Jobs(Settings(redis_url=url)).ledger.get("0" * 32)
        took = time.monotonic() - started
    assert raised.value.status == 503
    report_if_late("a job call without Redis", took, _SECONDS)
    assert took < _FAR_TOO_LONG
    [record] = caplog.records
    [error] = record.args if isinstance(record.args, tuple) else []
    assert isinstance(error, Exception)
    assert said in explained(error, url)
    assert "secret-word" not in caplog.text + explained(error, url) + raised.value.detail


def test_a_connection_to_a_replica_after_a_failover_is_made_anew(tmp_path: Path) -> None:
    """The address now leads to another Redis, but the old connection to the one before."""
    with stack(tmp_path, workers=0) as system:
        client, other = connect(system.url), system.client()
        client.set("a", 1)
        other.slaveof("127.0.0.1", free_port())
        promote = threading.Timer(0.1, other.slaveof)
        promote.start()
        assert client.set("a", 2)
        promote.join()


def test_a_server_answers_predictions_and_a_worker_says_what_is_wrong(tmp_path: Path) -> None:
    with _answering(WRONG) as address:
        url = f"redis://:secret-word@{address}"
        with serving(tmp_path, redis_url=url, store=f"file://{tmp_path / 'store'}") as server:
            point = {"points": [-20, 181, 500, 30]}
            assert plainhttp.post(f"{server.url}/predict", json=point).status_code == 200
            job = plainhttp.post(
                f"{server.url}/predict", json=point, headers={"Prefer": "respond-async"}
            )
            assert job.status_code == 503
            until(lambda: ADVICE in server.log.read_text())
            assert "secret-word" not in server.log.read_text()
    with stack(tmp_path / "stack", workers=0) as system, _answering(WRONG) as address:
        worker = system.add_worker(redis_url=f"redis://:secret-word@{address}")
        until(lambda: worker.log.exists() and ADVICE in worker.log.read_text())
        ready = plainhttp.get(f"http://{worker.environ['GPSERVE_WORKER_BIND']}/readyz")
        assert ready.status_code == 503
        assert "invalid username-password pair" in ready.text
        assert "secret-word" not in worker.log.read_text() + ready.text
