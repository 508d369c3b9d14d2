"""Every kind of storage keeps the same promises."""

from __future__ import annotations

import os
import resource
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from service.storage import open_blobs
from service.storage.blobs import PIECE, BlobMissing, Blobs, StorageError, StorageFull
from tests.helpers.patience import until
from tests.helpers.stack import Process, valkey_command


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("valkey")
    command, url = valkey_command(folder)
    process = Process(command, dict(os.environ), folder / "log")
    process.start()
    until(lambda: _answers(url))
    yield url
    process.end()


def _answers(url: str) -> bool:
    try:
        return open_blobs(url).names("nothing/") == []
    except StorageError:
        return False


@pytest.fixture(params=["file", "redis", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Files, Redis, and an object store through fsspec."""
    if request.param == "redis":
        return open_blobs(str(request.getfixturevalue("redis_url")))
    urls = {"file": f"file://{tmp_path}", "memory": f"memory://{secrets.token_hex(4)}"}
    return open_blobs(urls[request.param])


def test_what_is_written_is_read(blobs: Blobs) -> None:
    data = os.urandom(2 * PIECE + 12345)
    pieces = [data[:10], data[10 : PIECE + 3], data[PIECE + 3 :]]
    assert blobs.write("jobs/a/input", pieces) == len(data)
    assert blobs.size("jobs/a/input") == len(data)
    assert blobs.read_all("jobs/a/input") == data
    assert b"".join(blobs.pieces("jobs/a/input")) == data
    for start, stop in ((0, 0), (0, 1), (PIECE - 1, PIECE + 1), (5, 2 * PIECE), (PIECE, len(data))):
        assert blobs.read("jobs/a/input", start, stop) == data[start:stop]
    assert b"".join(blobs.pieces("jobs/a/input", 7, PIECE + 9)) == data[7 : PIECE + 9]


def test_names_and_deletion(blobs: Blobs) -> None:
    for name in ("versions/b.npz", "versions/a.npz", "jobs/1/input"):
        blobs.write(name, [b"x"])
    assert blobs.names("versions/") == ["versions/a.npz", "versions/b.npz"]
    blobs.delete("versions/a.npz")
    blobs.delete("versions/a.npz")
    assert blobs.names("versions/") == ["versions/b.npz"]
    blobs.delete("versions/b.npz")
    blobs.delete("jobs/1/input")


def test_a_small_blob_is_replaced(blobs: Blobs) -> None:
    blobs.write("current-version", [b"0123"])
    blobs.write("current-version", [b"4567"])
    assert blobs.read_all("current-version") == b"4567"
    blobs.write("empty", [])
    assert blobs.read_all("empty") == b""
    blobs.delete("empty")


def test_a_blob_stays_as_it_is_until_another_is_complete(blobs: Blobs) -> None:
    old, new = os.urandom(2 * PIECE), os.urandom(PIECE + 10)

    def pieces() -> Iterator[bytes]:
        yield new[:PIECE]
        assert blobs.read_all("jobs/7/input") == old
        yield new[PIECE:]

    def broken() -> Iterator[bytes]:
        yield from pieces()
        raise ValueError("the client has left")

    blobs.write("jobs/7/input", [old])
    with pytest.raises(ValueError, match="left"):
        blobs.write("jobs/7/input", broken())
    assert blobs.read_all("jobs/7/input") == old
    blobs.write("jobs/7/input", pieces())
    assert blobs.read_all("jobs/7/input") == new
    blobs.delete("jobs/7/input")


def test_a_missing_blob_says_so(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        blobs.size("nothing")
    with pytest.raises(BlobMissing):
        blobs.read("nothing", 0, 1)


def test_a_blob_that_breaks_off_is_not_there(blobs: Blobs) -> None:
    def broken() -> Iterator[bytes]:
        yield os.urandom(2 * PIECE)
        raise ValueError("the client has left")

    with pytest.raises(ValueError, match="left"):
        blobs.write("jobs/2/input", broken())
    with pytest.raises(BlobMissing):
        blobs.size("jobs/2/input")
    assert blobs.names("jobs/2/") == []


def test_a_redis_that_is_full_says_so_and_keeps_the_rest(redis_url: str) -> None:
    blobs, client = open_blobs(redis_url), Redis.from_url(redis_url)
    blobs.write("jobs/3/input", [b"x"])
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", used + 4 * PIECE)
    try:
        with pytest.raises(StorageFull, match="maxmemory"):
            blobs.write("jobs/4/input", (os.urandom(PIECE) for _ in range(20)))
        assert blobs.names("jobs/4/") == []
        assert client.keys("gpserve:writing:*") == []
        assert blobs.read_all("jobs/3/input") == b"x"
        blobs.write("jobs/5/input", [b"y"])
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("size", [1, 3 * PIECE])
def test_a_redis_that_is_full_keeps_the_blob_that_was_to_be_replaced(
    redis_url: str, size: int
) -> None:
    """As when a version is activated, and Redis has no room for its name."""
    blobs, client = open_blobs(redis_url), Redis.from_url(redis_url)
    blobs.write("current-version", [b"0123"])
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StorageFull, match="maxmemory"):
            blobs.write("current-version", [os.urandom(size)])
    finally:
        client.config_set("maxmemory", 0)
    assert blobs.read_all("current-version") == b"0123"


def test_a_redis_that_lost_pieces_does_not_complete_the_blob(redis_url: str) -> None:
    """As one whose policy is to evict keys that expire."""
    blobs, client = open_blobs(redis_url), Redis.from_url(redis_url)

    def evicted() -> Iterator[bytes]:
        yield os.urandom(2 * PIECE)
        client.delete(*client.keys("gpserve:writing:*"))
        yield os.urandom(PIECE)

    with pytest.raises(StorageError, match="pieces that were written before are missing"):
        blobs.write("jobs/8/input", evicted())
    assert blobs.names("jobs/8/") == []


def test_a_lost_answer_of_redis_to_the_last_piece_loses_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = open_blobs(redis_url)
    complete = blobs._complete  # type: ignore[attr-defined]

    def twice(*arguments: object) -> None:
        complete(*arguments)
        complete(*arguments)

    monkeypatch.setattr(blobs, "_complete", twice)
    data = os.urandom(2 * PIECE + 5)
    blobs.write("jobs/9/input", [data])
    assert blobs.read_all("jobs/9/input") == data


def test_a_store_that_refuses_a_small_blob_keeps_the_one_that_was_to_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("403 Forbidden")

    blobs = open_blobs(f"memory://{secrets.token_hex(4)}")
    blobs.write("current-version", [b"0123"])
    monkeypatch.setattr(blobs._files, "pipe_file", refuse)  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="403"):
        blobs.write("current-version", [b"4567"])
    assert blobs.read_all("current-version") == b"0123"


def test_an_object_of_several_blocks() -> None:
    blobs = open_blobs(f"memory://{secrets.token_hex(4)}")
    data = os.urandom(17 * PIECE)

    def broken() -> Iterator[bytes]:
        yield data
        raise ValueError("the client has left")

    assert blobs.write("jobs/1/input", [data]) == len(data)
    assert blobs.read_all("jobs/1/input") == data
    with pytest.raises(ValueError, match="left"):
        blobs.write("jobs/2/input", broken())
    assert blobs.names("jobs/") == ["jobs/1/input"]


def test_a_disk_that_is_full_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk's: both are an error of the write."""
    blobs = open_blobs(f"file://{tmp_path}")
    blobs.write("jobs/1/input", [b"x"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, limits[1]))
    try:
        with pytest.raises(StorageFull, match="too large"):
            blobs.write("jobs/2/input", (os.urandom(PIECE) for _ in range(3)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.rglob("*.part")) == []
    assert blobs.read_all("jobs/1/input") == b"x"


def test_what_a_killed_writer_left_is_deleted(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}")
    blobs.write("jobs/1/input", [b"x"])
    left, growing = tmp_path / "jobs/1/plan.0.part", tmp_path / "versions.1.part"
    for part in (left, growing):
        part.write_bytes(b"half")
    os.utime(left, (0, 0))
    blobs.delete_abandoned(3600)
    assert not left.exists()
    assert growing.exists()
    assert blobs.names("jobs/") == ["jobs/1/input"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "file:///proc/nowhere"])
def test_a_storage_that_is_away_says_so(url: str) -> None:
    with pytest.raises(StorageError):
        open_blobs(url).write("a/b", [b"x"])


def test_an_unknown_kind_of_storage_says_so() -> None:
    with pytest.raises(StorageError, match="nosuch"):
        open_blobs("nosuch://bucket")
