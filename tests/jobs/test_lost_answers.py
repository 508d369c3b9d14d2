"""Redis does what it is asked, but its answer is lost or late: a job is accepted, or it is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal, cast

import httpx
import pytest

from service.storage.files import FileBlobs
from tests.helpers import plainhttp
from tests.helpers.stack import Stack, stack

CREATES = b"waiting for a worker"
"""Is in the command that creates the record of a job."""

BODY = b"lat,long,depth,stations\n-20,181,500,30\n"
HEADERS = {"Content-Type": "text/csv", "Prefer": "respond-async"}


class Wire:
    """The way to Redis.

    Attributes
    ----------
    fault : of the next command that creates a job: its ``answer`` is lost, the same happens to all
        that follows (``silence``), or the ``command`` is kept on its way until `deliver`
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.fault: Literal["", "answer", "silence", "command"] = ""
        self._silent = False
        self._held: tuple[socket.socket, bytes] | None = None
        self._answered = threading.Event()

    def pass_on(self, client: socket.socket) -> None:
        """Pass on what the client of a connection sends, and the answers."""
        redis = socket.socket(socket.AF_UNIX)
        redis.connect(self._target)
        muted = threading.Event()
        threading.Thread(target=self._answer, args=(redis, client, muted), daemon=True).start()
        with suppress(OSError):
            while command := client.recv(1 << 16):
                if CREATES in command and self.fault:
                    fault, self.fault = self.fault, ""
                    muted.set()
                    self._silent = fault == "silence"
                    if fault == "command":
                        self._held = redis, command
                        return
                    redis.sendall(command)
                elif not self._silent:
                    redis.sendall(command)
        redis.close()

    def _answer(self, redis: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while answer := redis.recv(1 << 20):
                if muted.is_set():
                    self._answered.set()
                else:
                    client.sendall(answer)

    def deliver(self) -> None:
        """Let the command arrive that was kept, and wait until Redis has done it."""
        assert self._held is not None
        redis, command = self._held
        redis.sendall(command)
        assert self._answered.wait(60)

    def mend(self) -> None:
        """End the silence."""
        self._silent = False


@contextmanager
def _wire(target: str) -> Iterator[tuple[Wire, str]]:
    """A way to the Redis behind a Unix socket, and its URL."""
    wire = Wire(target)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client = connections.enter_context(listener.accept()[0])
                    threading.Thread(target=wire.pass_on, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield wire, f"redis://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Wire]]:
    folder = tmp_path_factory.mktemp("wire")
    with (
        _wire(str(folder / "redis" / "valkey.sock")) as (wire, url),
        stack(folder, redis_url=url) as system,
    ):
        assert _post(system).status_code == 202  # Redis knows all scripts from now on
        yield system, wire


def _post(system: Stack, **headers: str) -> httpx.Response:
    return plainhttp.post(f"{system.http}/predict", content=BODY, headers=HEADERS | headers)


def _inputs(system: Stack) -> set[str]:
    """The ids of the jobs whose inputs are stored."""
    names = FileBlobs(Path(system.folder / "store")).names("jobs/")
    return {name.split("/")[1] for name in names if name.endswith("/input")}


def _recorded(system: Stack) -> set[str]:
    keys = cast(list[bytes], system.client().keys("gpserve:job:*"))
    return {key.decode().split(":")[-1] for key in keys}


def test_a_job_is_accepted_although_the_answer_to_its_creation_is_lost(
    wired: tuple[Stack, Wire],
) -> None:
    system, wire = wired
    wire.fault = "answer"
    key = {"Idempotency-Key": "lost"}
    accepted = _post(system, **key)
    assert accepted.status_code == 202, accepted.text
    id = accepted.json()["jobID"]
    assert system.follow(id)["status"] == "successful"
    assert _post(system, **key).json()["jobID"] == id


def test_a_job_that_was_refused_is_not_created_later(wired: tuple[Stack, Wire]) -> None:
    system, wire = wired
    before = _recorded(system), _inputs(system)
    wire.fault = "command"
    assert _post(system).status_code == 503
    wire.deliver()
    assert (_recorded(system), _inputs(system)) == before
    redis = system.client()
    assert redis.zcard("gpserve:open:anonymous") == redis.zcard("gpserve:open")  # it does not count


def test_an_input_is_kept_while_redis_does_not_say_whether_the_job_exists(
    wired: tuple[Stack, Wire],
) -> None:
    system, wire = wired
    before = _recorded(system)
    wire.fault, key = "silence", {"Idempotency-Key": "silence"}
    assert _post(system, **key).status_code == 503
    [id] = _recorded(system) - before
    assert id in _inputs(system)
    wire.mend()
    assert _post(system, **key).json()["jobID"] == id
    assert system.follow(id)["status"] == "successful"
