"""Blobs as files below a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from service.model import write_file
from service.storage.blobs import BlobMissing, Blobs, StorageError

_PART = ".part"


class FileBlobs(Blobs):
    """Files below `folder`, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write beside the name, then rename: a reader sees all of it or nothing."""
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return write_file(path, pieces, mode=0o600)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error}") from error

    def size(self, name: str) -> int:
        """The file's size."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            raise BlobMissing(name) from None
        except OSError as error:
            raise StorageError(f"{name} cannot be read: {error}") from error

    def read(self, name: str, start: int, stop: int) -> bytes:
        """A part of the file."""
        try:
            with (self._folder / name).open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        except FileNotFoundError:
            raise BlobMissing(name) from None
        except OSError as error:
            raise StorageError(f"{name} cannot be read: {error}") from error

    def names(self, prefix: str) -> list[str]:
        """The files below a folder."""
        found = (self._folder / prefix).rglob("*")
        files = (path for path in found if path.suffix != _PART and path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in files)

    def delete(self, name: str) -> None:
        """Remove the file, and its folder when it was the last one there."""
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            path.parent.rmdir()
        except OSError:  # other files are there, or another process was quicker
            pass

    def local_path(self, name: str) -> Path | None:
        """The file itself."""
        return self._folder / name
