"""Blobs as objects of S3, Google Cloud Storage, Azure, HTTP: whatever fsspec has a driver for."""

from __future__ import annotations

from collections.abc import Iterable

from service.storage.blobs import PIECE, BlobMissing, Blobs, StorageError, resized

try:
    import fsspec
except ImportError as error:
    raise StorageError(
        f"a store other than file:// and redis:// requires fsspec: {error}"
    ) from error

_UNAVAILABLE = (OSError, TimeoutError)


class ObjectBlobs(Blobs):
    """Objects below the URL ``scheme://bucket/prefix``; credentials are those of the driver."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StorageError(f"{url.partition('://')[0]}://: {error}") from error

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """Write the object; an incomplete upload is removed."""
        path = self._path(name)
        size = 0
        try:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._files.open(path, "wb", block_size=8 * PIECE) as out:
                for piece in resized(pieces):
                    size += out.write(piece)
        except BaseException as error:
            self.delete(name)
            if isinstance(error, _UNAVAILABLE):
                raise StorageError(f"cannot write {path}: {error}") from error
            raise
        return size

    def size(self, name: str) -> int:
        """Return the object's size."""
        try:
            self._files.invalidate_cache()
            return int(self._files.size(self._path(name)))
        except FileNotFoundError:
            raise BlobMissing(name) from None
        except _UNAVAILABLE as error:
            raise StorageError(f"cannot read {name}: {error}") from error

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return part of the object, by a range request."""
        try:
            return bytes(self._files.cat_file(self._path(name), start, stop))
        except FileNotFoundError:
            raise BlobMissing(name) from None
        except _UNAVAILABLE as error:
            raise StorageError(f"cannot read {name}: {error}") from error

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects below a prefix."""
        try:
            self._files.invalidate_cache()
            found = self._files.find(self._path(prefix))
        except FileNotFoundError:
            return []
        except _UNAVAILABLE as error:
            raise StorageError(f"cannot list {prefix}: {error}") from error
        start = len(self._root.rstrip("/")) + 1
        return sorted(path[start:] for path in found)

    def delete(self, name: str) -> None:
        """Remove the object."""
        try:
            self._files.rm(self._path(name))
        except FileNotFoundError:
            pass
        except _UNAVAILABLE as error:
            raise StorageError(f"cannot delete {name}: {error}") from error
