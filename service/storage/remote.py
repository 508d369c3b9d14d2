"""Blobs on remote file systems: S3, Google Cloud, Azure, HTTP, SFTP, whatever fsspec can open."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from service.storage.blobs import PIECE, Blobs, StorageError, resized, storage_errors

try:
    import fsspec
except ImportError as error:
    raise StorageError(f"this kind of store needs the extra `stores`: {error}") from error

_BLOCK = 8 * PIECE
"""Bytes of a request to the store; stores want at least 5 MB of a part of an object."""


class ObjectBlobs(Blobs):
    """Objects below the URL ``scheme://bucket/prefix``; credentials are those of the driver."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            scheme = url.partition("://")[0]
            raise StorageError(f"{scheme}:// needs the extra `stores`: {error}") from error
        except ValueError as error:
            raise StorageError(f"{url.partition('://')[0]}://: {error}") from error

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write one block at once, so that an older object stays if that fails, or more in parts.

        What was uploaded of an incomplete object in parts is removed.
        """
        path, parts = self._path(name), resized(pieces)
        with storage_errors("write", path):
            block, more = b"".join(islice(parts, _BLOCK // PIECE)), next(parts, b"")
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            if not more:
                self._files.pipe_file(path, block)
                return len(block)
            try:
                with self._files.open(path, "wb", block_size=_BLOCK) as out:
                    size = int(out.write(block) + out.write(more))
                    del block  # it would be in memory until the last part
                    return size + sum(int(out.write(part)) for part in parts)
            except BaseException:
                self.delete(name)
                raise

    def size(self, name: str) -> int:
        """Return the object's size."""
        with storage_errors("read", name):
            self._files.invalidate_cache()
            return int(self._files.size(self._path(name)))

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return part of the object, by a range request."""
        with storage_errors("read", name):
            return bytes(self._files.cat_file(self._path(name), start, stop))

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects below a prefix."""
        found: list[str] = []
        with storage_errors("list", prefix), suppress(FileNotFoundError):
            self._files.invalidate_cache()
            found = self._files.find(self._path(prefix))
        start = len(self._root.rstrip("/")) + 1
        return sorted(path[start:] for path in found)

    def delete(self, name: str) -> None:
        """Remove the object."""
        with storage_errors("delete", name), suppress(FileNotFoundError):
            self._files.rm(self._path(name))
