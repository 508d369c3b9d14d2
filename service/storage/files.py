"""Blobs as files in a folder."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from service.model import sync_folder, write_file
from service.storage.blobs import Blobs, storage_errors

_PART = ".part"


class FileBlobs(Blobs):
    """Files in `folder`, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write a temporary file, then rename it: a reader sees all of it or nothing."""
        path = self._folder / name
        with storage_errors("write", str(path)):
            self._make_folder(path.parent)
            return write_file(path, pieces, mode=0o600)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)

    def size(self, name: str) -> int:
        """Return the file's size."""
        with storage_errors("read", name):
            return (self._folder / name).stat().st_size

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return part of the file."""
        with storage_errors("read", name), (self._folder / name).open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files in a folder."""
        found = (self._folder / prefix).rglob("*")
        files = (path for path in found if path.suffix != _PART and path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in files)

    def delete(self, name: str) -> None:
        """Remove the file, and its folder if that is now empty."""
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            path.parent.rmdir()
        except OSError:  # the folder has other files, or another process was faster
            pass

    def delete_abandoned(self, older_than: float) -> None:
        """Remove temporary files that nobody has written to for so long."""
        oldest = time.time() - older_than
        with storage_errors("list", str(self._folder)):
            for path in self._folder.rglob(f"*{_PART}"):
                with suppress(FileNotFoundError):  # another worker was faster
                    if path.stat().st_mtime < oldest:
                        path.unlink()

    def local_path(self, name: str) -> Path | None:
        """Return the file itself."""
        return self._folder / name
