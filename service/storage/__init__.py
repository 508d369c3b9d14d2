"""Where models, uploads and results are stored: named blobs in files, Redis, or object stores."""

from __future__ import annotations

from pathlib import Path

from service.storage.blobs import Blobs


def open_blobs(url: str, *, patient: bool = False) -> Blobs:
    """Return the storage that a URL names: ``redis://``, ``file://``, or any that fsspec supports.

    With `patient` it waits for an unavailable Redis, however long that takes.

    Raises `StorageError`: the URL's scheme needs a package that is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "unix"):
        from service.storage.redis import FOREVER, RedisBlobs

        return RedisBlobs(url, retries=FOREVER if patient else 1)
    if scheme == "file":
        from service.storage.files import FileBlobs

        return FileBlobs(Path(rest))
    from service.storage.remote import ObjectBlobs

    return ObjectBlobs(url)
