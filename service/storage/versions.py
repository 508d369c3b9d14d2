"""The stored versions of the model, and which of them is current."""

from __future__ import annotations

import io
import os
import re
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from service.model import Model, ModelFileError, version_of, write_file
from service.storage.blobs import PIECE, BlobMissing, Blobs, storage_errors

VERSION = re.compile(r"[0-9a-f]{12}")

_FOLDER = "versions/"
_description = msgspec.json.Decoder(dict[str, Any])
_CURRENT = "current-version"

_KEPT = 4
"""How many files stay in the cache: a process that serves and one that works have two each."""


class NoSuchVersion(KeyError):
    """No stored version has this name."""


class Versions:
    """Versions in a storage: ``versions/<version>.npz``, with its description as ``.json``.

    A version is the first 12 hex digits of its file's SHA-256, so it never changes.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._cache = Path(tempfile.gettempdir()) / f"gpserve-versions-{os.getuid()}"

    def add(self, model: Model, path: Path) -> str:
        """Store a model's file unless it is already stored, and return its version."""
        return self.add_described(model.description.as_json(), path)

    def add_described(self, description: dict[str, Any], path: Path) -> str:
        """Store a model's file, whose description is known, piece by piece."""
        with path.open("rb") as file:
            version = version_of(file)
            if f"{_FOLDER}{version}.json" not in self._blobs.names(_FOLDER):
                file.seek(0)
                document = description | {"version": version}
                self._blobs.write(f"{_FOLDER}{version}.npz", iter(partial(file.read, PIECE), b""))
                self._blobs.write(f"{_FOLDER}{version}.json", [msgspec.json.encode(document)])
        return version

    def described(self, version: str) -> dict[str, Any]:
        """Return the description of a version, or raise `NoSuchVersion`."""
        self.refuse_unknown(version)
        return self._described(f"{_FOLDER}{version}.json")

    def all(self) -> list[dict[str, Any]]:
        """Return the description of each version, the newest first.

        One that cannot be read has its version, and the reason as ``error``.
        """
        names = [name for name in self._blobs.names(_FOLDER) if name.endswith(".json")]
        found = [self._described(name) for name in names]
        return sorted(found, key=lambda description: str(description["created"]), reverse=True)

    def _described(self, name: str) -> dict[str, Any]:
        """Return a version's description, or why it cannot be read: others are listed anyway."""
        version = name.removeprefix(_FOLDER).removesuffix(".json")
        try:
            return _description.decode(self._blobs.read_all(name)) | {"version": version}
        except (msgspec.DecodeError, BlobMissing) as error:
            reason = f"the stored description cannot be read: {error}"
            return {"version": version, "created": "", "error": reason}

    def current(self) -> str | None:
        """Return the version that every replica should serve, or None before any was activated."""
        try:
            return self._blobs.read_all(_CURRENT).decode("ascii", "replace")
        except BlobMissing:
            return None

    def activate(self, version: str) -> None:
        """Make a stored version current, or raise `NoSuchVersion`."""
        self.refuse_unknown(version)
        self._blobs.write(_CURRENT, [version.encode()])

    def refuse_unknown(self, version: str) -> None:
        """Raise `NoSuchVersion` unless the version is stored."""
        try:
            if VERSION.fullmatch(version):
                self._blobs.size(f"{_FOLDER}{version}.json")
                return
        except BlobMissing:
            pass
        raise NoSuchVersion(version)

    def fetch(self, version: str) -> Path:
        """Return the version as a file on this machine.

        Where the store has no files, it is one of a cache that all processes of this user share.
        Open it at once: when they need other versions, the cache forgets it.

        Raises `NoSuchVersion`: the version is not stored.
        Raises `ModelFileError`: the stored bytes do not match the version.
        """
        self.refuse_unknown(version)
        name = f"{_FOLDER}{version}.npz"
        path = self._blobs.local_path(name)
        if path is None:
            return self._cached(name, version)
        if not _matches(path, version):
            raise ModelFileError("its file is missing or has changed since it was stored")
        return path

    def _cached(self, name: str, version: str) -> Path:
        path = self._cache / f"{version}.npz"
        with suppress(FileNotFoundError):
            os.utime(path)  # before it is read: no process forgets it now
        if not _matches(path, version):
            self._download(name, path)
            self._forget_others(path)
        return path

    def _download(self, name: str, path: Path) -> None:
        try:
            data = self._blobs.read_all(name)
        except BlobMissing:
            raise ModelFileError("its file is missing from the store") from None
        if version_of(io.BytesIO(data)) != path.stem:
            raise ModelFileError("its file has changed since it was stored")
        with storage_errors("write", str(path)):
            self._cache.mkdir(mode=0o700, exist_ok=True)
            write_file(path, [data])

    def _forget_others(self, path: Path) -> None:
        """Remove the files that were needed least recently; whoever has one open can read on."""
        with storage_errors("list", str(self._cache)):
            others = sorted(set(self._cache.iterdir()) - {path}, key=_last_needed, reverse=True)
            for other in others[_KEPT - 1 :]:
                other.unlink(missing_ok=True)


def _last_needed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has removed it
        return 0.0


def _matches(path: Path, version: str) -> bool:
    try:
        with path.open("rb") as file:
            return version_of(file) == version
    except FileNotFoundError:
        return False
