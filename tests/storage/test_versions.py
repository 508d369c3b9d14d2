"""Versions over HTTP: listed, activated, followed by all processes; a broken one is refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.gpr import GPR
from service.runtime.live import Follower, Live
from service.settings import Settings
from service.storage.files import FileBlobs
from service.storage.versions import Versions
from tests.helpers import plainhttp
from tests.helpers.modelfiles import another, worse
from tests.helpers.patience import report_if_late, until
from tests.helpers.serving import ARTICLE, FLASK_ALONE, ROOT, Server, serving

POINT = {"lat": -20.1, "long": 181.5, "depth": 500, "stations": 40}
TOKEN = {"Authorization": "Bearer secret"}
LAST = 100
"""After so many answers of one version in a row, each process that answers has followed."""


@pytest.fixture(params=["front", "flask"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, gpr: GPR
) -> Iterator[tuple[Server, Versions]]:
    arguments = ARTICLE if request.param == "front" else FLASK_ALONE
    store = tmp_path / "store"
    with serving(tmp_path, *arguments, store=f"file://{store}", token="secret") as running:
        yield running, Versions(FileBlobs(store))


def test_writing_needs_the_token(server: tuple[Server, Versions]) -> None:
    url = f"{server[0].url}/models/0123456789ab/activate"
    missing = plainhttp.post(url)
    assert missing.status_code == 401
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    assert plainhttp.post(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert plainhttp.post(url, headers={"Authorization": "secret"}).status_code == 401
    assert plainhttp.post(url, headers=TOKEN).status_code == 404


def test_without_a_token_or_store_writing_is_off(tmp_path: Path) -> None:
    with serving(tmp_path) as plain:
        url = f"{plain.url}/models/0123456789ab/activate"
        assert plainhttp.post(url, headers=TOKEN).status_code == 403
        (only,) = plainhttp.get(f"{plain.url}/models").json()["models"]
        assert only["current"]


def test_all_processes_follow_an_activation_and_the_way_back(
    server: tuple[Server, Versions], gpr: GPR, tmp_path: Path
) -> None:
    running, versions = server
    path = another(gpr, tmp_path, 1000.0)
    version = versions.add(GPR.load(path), path)
    listed = plainhttp.get(f"{running.url}/models").json()
    before = listed["current"]
    assert {said["version"] for said in listed["models"]} == {before, version}
    assert all("rmse" in said["scores"] for said in listed["models"])

    with calling(running.url) as seen:
        until(lambda: len(seen) >= LAST)
        answer = plainhttp.post(f"{running.url}/models/{version}/activate", headers=TOKEN)
        assert answer.status_code == 200
        activated = time.monotonic()
        until(lambda: _versions(seen[-LAST:]) == {version} and len(seen) > 2 * LAST)
    last = max(t for t, v, _ in seen if v == before)
    report_if_late("an activation", last - activated, 2)
    assert {(v, mean > 500) for _, v, mean in seen} == {(before, False), (version, True)}

    assert (
        plainhttp.post(f"{running.url}/models/{before}/activate", headers=TOKEN).status_code == 200
    )
    with calling(running.url) as seen:
        until(lambda: len(seen) >= LAST and _versions(seen[-LAST:]) == {before})
    # A process that was busy may have answered none of them, and follow later.
    until(lambda: _version_of_the_file(running.url) == before)


def _version_of_the_file(url: str) -> str:
    file = plainhttp.get(f"{url}/model.npz")
    return hashlib.sha256(file.content).hexdigest()[:12]


def _versions(seen: list[tuple[float, str, float]]) -> set[str]:
    return {version for _, version, _ in seen}


@contextmanager
def calling(url: str) -> Iterator[list[tuple[float, str, float]]]:
    """Ask for a point over and over; gives when each call began, its version and its mean."""
    seen: list[tuple[float, str, float]] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            started = time.monotonic()
            answer = plainhttp.post(f"{url}/predict", json=POINT)
            said = answer.json().get("mean", 0.0), answer.headers.get("X-Model-Version", "none")
            seen.append((started, said[1], said[0]))
            time.sleep(0.01)  # a few hundred calls per second are enough

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield seen
    stop.set()
    for thread in threads:
        thread.join()


def test_a_broken_version_is_refused_and_the_old_one_stays(
    server: tuple[Server, Versions], gpr: GPR, tmp_path: Path
) -> None:
    running, versions = server
    before = plainhttp.get(f"{running.url}/models").json()["current"]
    path = another(gpr, tmp_path, 1.0)
    version = versions.add(GPR.load(path), path)
    stored = tmp_path / "store" / "versions" / f"{version}.npz"
    stored.write_bytes(stored.read_bytes()[:-100])
    refused = plainhttp.post(f"{running.url}/models/{version}/activate", headers=TOKEN)
    assert refused.status_code == 409
    assert version in refused.json()["detail"]

    versions.activate(version)  # past the check, as another tool might

    def refusing() -> httpx.Response | None:  # each process finds out by itself
        answer = plainhttp.get(f"{running.url}/readyz")
        return answer if version in answer.json().get("refused", {}) else None

    ready = until(refusing)
    assert ready.status_code == 200
    assert ready.json()["version"] == before
    until(lambda: _shows_refusal(running.url))  # a moment later
    answer = plainhttp.post(f"{running.url}/predict", json=POINT)
    assert answer.headers["X-Model-Version"] == before


def test_a_version_that_is_clearly_worse_needs_force(
    server: tuple[Server, Versions], gpr: GPR, tmp_path: Path
) -> None:
    running, versions = server
    before = plainhttp.get(f"{running.url}/models").json()["current"]
    path = worse(gpr, tmp_path)
    version = versions.add(GPR.load(path), path)
    url = f"{running.url}/models/{version}/activate"
    refused = plainhttp.post(url, headers=TOKEN)
    assert refused.status_code == 409
    detail = refused.json()["detail"]
    assert f"/models/{version}/activate?force=true" in detail
    assert "RMSE is 0.4" in detail
    assert f"current version {before} is 0.1854" in detail
    assert refused.json()["option"] == "force"
    assert plainhttp.get(f"{running.url}/models").json()["current"] == before

    assert plainhttp.post(f"{url}?force=perhaps", headers=TOKEN).status_code == 422
    assert plainhttp.post(f"{url}?force=true", headers=TOKEN).status_code == 200
    until(lambda: _version_of_the_file(running.url) == version)


def test_a_version_that_was_repaired_is_tried_again(
    gpr: GPR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    versions = Versions(FileBlobs(tmp_path / "store"))
    live = Live(Settings())
    follower = Follower(live, versions)
    path = another(gpr, tmp_path, 1.0)
    version = versions.add(GPR.load(path), path)
    stored = tmp_path / "store" / "versions" / f"{version}.npz"
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-100])
    versions.activate(version)
    follower.check()
    assert version in follower.refused
    assert live.served == live.initial
    stored.write_bytes(whole)
    monkeypatch.setattr("service.runtime.live.RETRY_SECONDS", 0.0)
    follower.check()
    assert follower.refused == {}
    assert live.version == version
    assert f"the store's current version {version} replaces the model of" in caplog.text
    assert f"points, {gpr.arithmetic})" in caplog.text


@pytest.mark.parametrize("torn", [b"", b'{"version": "a', b"[]"])
def test_a_version_without_a_readable_description_hides_no_other(
    gpr: GPR, tmp_path: Path, torn: bytes
) -> None:
    versions = Versions(FileBlobs(tmp_path / "store"))
    good, bad = (
        versions.add(GPR.load(path), path)
        for path in (another(gpr, tmp_path, 1.0), another(gpr, tmp_path, 2.0))
    )
    (tmp_path / "store" / "versions" / f"{bad}.json").write_bytes(torn)
    listed = {found["version"]: found for found in versions.all()}
    assert listed[good]["kernel"] == "RBF"
    assert "cannot be read" in listed[bad]["error"]


def _shows_refusal(url: str) -> bool:
    text = plainhttp.get(f"{url}/metrics").text
    return "model_version_refused 1.0" in text.replace("refused{}", "refused")


def test_a_new_process_begins_with_the_current_version(gpr: GPR, tmp_path: Path) -> None:
    store = tmp_path / "store"
    versions = Versions(FileBlobs(store))
    path = another(gpr, tmp_path, 1000.0)
    version = versions.add(GPR.load(path), path)
    versions.activate(version)
    with serving(tmp_path, store=f"file://{store}") as running:
        answer = plainhttp.post(f"{running.url}/predict", json=POINT)
        assert answer.headers["X-Model-Version"] == version


def test_a_process_that_knows_no_version_is_not_ready(tmp_path: Path) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    code = (
        "from service.settings import Settings\nfrom service.runtime import probes\n"
        "from service.runtime.runtime import Runtime\n"
        f"r = Runtime(Settings.from_environ({{'GPSERVE_REDIS_URL': {nowhere!r}}}))\n"
        "print(probes.readiness(r)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["503"]
