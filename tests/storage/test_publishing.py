"""POST /models: a model file becomes a version, and a hostile one costs neither memory nor time."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gpserve_client import Client, ServiceError

from service.gpr import GPR
from tests.helpers import cgroups, plainhttp
from tests.helpers.modelfiles import another, worse
from tests.helpers.serving import ONE_WORKER, ROOT, Server, serving

TOKEN = {"Authorization": "Bearer secret"}
LIMIT = 8 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tmp = tmp_path_factory.mktemp("publishing")
    store = f"file://{tmp / 'store'}"
    with serving(tmp, *ONE_WORKER, store=store, token="secret", max_model_bytes=LIMIT) as running:
        yield running


def test_a_published_model_is_described_and_listed_and_then_served(
    server: Server, gpr: GPR, tmp_path: Path
) -> None:
    data = another(gpr, tmp_path, 2000.0).read_bytes()
    answer = plainhttp.post(f"{server.url}/models", content=data, headers=TOKEN)
    said = answer.json()
    assert answer.status_code == 201
    assert not said["current"]
    at = plainhttp.get(server.url + answer.headers["Location"]).json()
    assert at["version"] == said["version"]
    assert at["feature_names"] == list(gpr.description.feature_names)
    listed = plainhttp.get(f"{server.url}/models").json()["models"]
    assert said["version"] in {version["version"] for version in listed}

    url = f"{server.url}/models?activate=true"
    answer = plainhttp.post(url, content=data, headers=TOKEN)
    assert answer.status_code == 201
    assert answer.json()["current"]
    assert plainhttp.get(f"{server.url}/model").json()["version"] == said["version"]


def test_the_command_and_the_client_publish(server: Server, gpr: GPR, tmp_path: Path) -> None:
    path = another(gpr, tmp_path, 1.0)
    command = [sys.executable, "-m", "service", "publish", str(path), server.url]
    environ = os.environ | {"GPSERVE_TOKEN": "secret"}
    done = subprocess.run(
        [*command, "--activate"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    version = plainhttp.get(f"{server.url}/model").json()["version"]
    assert f"version {version}; {server.url} serves it now" in done.stdout
    wrong = subprocess.run(
        [*command, "--token", "wrong"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert wrong.stderr == "Error: 401: the bearer token is wrong\n"

    bad = worse(gpr, tmp_path)
    with Client(server.url, token="secret") as client:
        with pytest.raises(ServiceError, match="clearly worse"):
            client.publish(bad, activate=True)
        assert client.model().version == version
        said = client.publish(bad, activate=True, force=True)
        assert client.model().version == said["version"]


def test_publishing_needs_the_token_and_a_store(server: Server, tmp_path: Path) -> None:
    def status(url: str, **headers: str) -> int:
        code: int = plainhttp.post(f"{url}/models", content=b"x", headers=headers).status_code
        return code

    assert status(server.url) == 401
    assert status(server.url, Authorization="Bearer wrong") == 401
    with serving(tmp_path) as plain:
        assert status(plain.url, **TOKEN) == 403


def _changed(data: bytes, name: str, content: bytes) -> bytes:
    """A model file with another content of one array."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for each in source.namelist():
            target.writestr(each, content if each == name else source.read(each))
    return out.getvalue()


def _bomb(data: bytes) -> bytes:
    out = io.BytesIO(data)
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.npy", "w") as member,
    ):
        for _ in range(256):
            member.write(bytes(1 << 20))
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _lying_shape(data: bytes) -> bytes:
    out = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(out, header)
    return _changed(data, "alpha.npy", out.getvalue() + bytes(64))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch gpserve-evil",)


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "bomb": (_bomb, "unpacks to"),
    "objects": (
        lambda data: _changed(data, "alpha.npy", _npy(np.array([Evil()], object))),
        "'alpha' cannot be read",
    ),
    "lying shape": (_lying_shape, "'alpha'"),
    "wrong numbers": (lambda data: _changed(data, "alpha.npy", _alpha(data)), "not reproduced"),
    "pickle": (lambda _: pickle.dumps(Evil()), "not an .npz model file"),
    "torn": (lambda data: data[: len(data) // 2], "not an .npz model file"),
    "empty": (lambda _: b"", "not an .npz model file"),
}


def _alpha(data: bytes) -> bytes:
    with np.load(io.BytesIO(data)) as arrays:
        return _npy(arrays["alpha"] * 1.01)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_with_flat_memory(server: Server, gpr: GPR, kind: str) -> None:
    make, reason = HOSTILE[kind]
    model = plainhttp.get(f"{server.url}/model.npz").content
    before = cgroups.largest(server.workers)
    listed = plainhttp.get(f"{server.url}/models").json()["models"]
    answer = plainhttp.post(f"{server.url}/models", content=make(model), headers=TOKEN)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]
    assert plainhttp.get(f"{server.url}/models").json()["models"] == listed
    assert cgroups.largest(server.workers) < before + (64 << 20)
    assert not (ROOT / "gpserve-evil").exists()


def test_a_larger_file_is_refused_unread(server: Server) -> None:
    answer = plainhttp.post(f"{server.url}/models", content=bytes(LIMIT + 1), headers=TOKEN)
    assert answer.status_code == 413
    assert answer.json()["limit"] == LIMIT
