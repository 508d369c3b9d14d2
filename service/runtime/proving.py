"""A version is tried before all replicas are told to serve it."""

from __future__ import annotations

from service.model import ModelFileError
from service.runtime.live import model_class
from service.storage.versions import Versions


def prove_version(versions: Versions, version: str, class_name: str) -> None:
    """Load a version as a replica will.

    Raises
    ------
    ModelFileError
        It cannot be served; the message says why.
    NoSuchVersion
        It is not stored.
    """
    path = versions.fetch(version)
    try:
        model_class(class_name).load(path)
    except ModelFileError:
        raise
    except Exception as error:  # of whatever a model's own class does
        raise ModelFileError(f"{type(error).__name__}: {error}") from error
