"""The files of versions whose store has none: repaired, and forgotten when others are needed."""

from __future__ import annotations

import hashlib
import resource
import secrets
import tempfile
import time
from pathlib import Path

import pytest

from service.app import create_app
from service.gpr import GPR
from service.model import ModelFileError
from service.runtime.runtime import Runtime
from service.settings import Settings
from service.storage import open_blobs
from service.storage.blobs import PIECE, StorageFull
from service.storage.versions import Versions
from tests.helpers.modelfiles import another


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An object store, and a temporary folder for the cache."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return f"memory://{secrets.token_hex(4)}"


def add(versions: Versions, tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "added"
    path.write_bytes(content)
    return versions.add_described({"created": ""}, path)


@pytest.mark.parametrize("damaged", [b"", b"one of the same length", None])
def test_a_cached_file_that_is_damaged_is_downloaded_again(
    store: str, tmp_path: Path, damaged: bytes | None
) -> None:
    versions = Versions(open_blobs(store))
    version = add(versions, tmp_path, b"what has been stored 1")
    path = versions.fetch(version)
    if damaged is None:
        path.unlink()
    else:
        path.write_bytes(damaged)
    assert versions.fetch(version).read_bytes() == b"what has been stored 1"


def test_what_is_damaged_in_the_store_is_refused(store: str, tmp_path: Path) -> None:
    blobs = open_blobs(store)
    version = add(Versions(blobs), tmp_path, b"stored")
    blobs.write(f"versions/{version}.npz", [b"changed"])
    with pytest.raises(ModelFileError, match="changed since it was stored"):
        Versions(blobs).fetch(version)
    blobs.delete(f"versions/{version}.npz")
    with pytest.raises(ModelFileError, match="missing from the store"):
        Versions(blobs).fetch(version)


def test_a_disk_that_is_full_is_an_error_of_the_storage(store: str, tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk's."""
    versions = Versions(open_blobs(store))
    version = add(versions, tmp_path, bytes(2 * PIECE))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, limits[1]))
    try:
        with pytest.raises(StorageFull, match="too large"):
            versions.fetch(version)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert versions.fetch(version).stat().st_size == 2 * PIECE


def test_the_cache_keeps_the_versions_that_were_needed_last(store: str, tmp_path: Path) -> None:
    ours, others = (Versions(open_blobs(store)) for _ in range(2))  # of two processes
    often, *rest = (add(ours, tmp_path, b"version %d" % i) for i in range(9))
    ours.fetch(often)
    with ours.fetch(rest[0]).open("rb") as opened:
        for version in rest[1:]:
            time.sleep(0.02)  # the clock of files has ticks
            others.fetch(version)
            ours.fetch(often)
        assert opened.read() == b"version 1"
    kept = {path.stem for path in ours.fetch(often).parent.iterdir()}
    assert kept == {often, *rest[-3:]}
    assert ours.fetch(rest[0]).read_bytes() == b"version 1"


def test_the_served_model_is_downloaded_also_after_the_cache_has_forgotten_it(
    store: str, tmp_path: Path, gpr: GPR
) -> None:
    versions = Versions(open_blobs(store))
    path = another(gpr, tmp_path, 1000.0)
    version = versions.add(GPR.load(path), path)
    versions.activate(version)
    client = create_app(Runtime(Settings(store=store))).test_client()
    versions.fetch(version).unlink()
    answer = client.get("/model.npz")
    assert answer.status_code == 200
    assert hashlib.sha256(answer.data).hexdigest()[:12] == version
