"""The model that is served now."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from service.model import Model, ModelFileError
from service.runtime.pool import yield_priority
from service.settings import Settings, SettingsError
from service.storage.blobs import StorageError
from service.storage.versions import NoSuchVersion, Versions

log = logging.getLogger(__name__)


def model_class(dotted: str) -> type[Model]:
    """The class that a setting names as ``module:Class``.

    Raises
    ------
    SettingsError
        It cannot be imported, or is no `Model`.
    """
    module, _, name = dotted.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"GPSERVE_MODEL_CLASS {dotted!r}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise SettingsError(f"GPSERVE_MODEL_CLASS {dotted!r} is not a subclass of Model")
    return found


class Served(NamedTuple):
    """A model and the file that it came from."""

    model: Model
    path: Path


class Live:
    """Holds the current model; requests take it once and keep it to their end.

    Attributes
    ----------
    model : what predicts now
    served : the same with its file, for those who need both of one version
    initial : what the settings name
    version : of the file, as a store names it
    """

    def __init__(self, settings: Settings) -> None:
        self.class_name = settings.model_class
        self._versions: WeakKeyDictionary[Model, str] = WeakKeyDictionary()
        path = settings.model
        try:
            model = model_class(settings.model_class).load(path)
            with path.open("rb") as stream:
                version = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error
        self.serve(model, path, version)
        self.initial = self.served

    def serve(self, model: Model, path: Path, version: str) -> None:
        """Answer new requests with this model."""
        self._versions[model] = version
        self.model = model
        self.served = Served(model, path)
        self.version = version
        d = model.description
        log.info("serving %s %s (%s, %d points)", d.name, d.version, d.kernel, d.training_points)

    def version_of(self, model: Model) -> str:
        """The version, as a store names it, of a model that is or was served."""
        return self._versions[model]


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


LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


class Follower:
    """Keeps a process on the current version of a store.

    Attributes
    ----------
    seen : whether the store has answered once: a process that does not know which version is
        current is not ready
    refused : the current version and why it is not served, when it cannot be
    """

    def __init__(self, live: Live, versions: Versions) -> None:
        self._live = live
        self._versions = versions
        self._pid = 0
        self._lock = threading.RLock()
        self._changed: Callable[[], None] = lambda: None
        self._reachable = True
        self.seen = False
        self.refused: dict[str, str] = {}

    def start(self, changed: Callable[[], None]) -> None:
        """Look now, and again and again on a thread; once in each process.

        `changed` is called when another version is served or refused.
        """
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._changed = changed
            self.seen = False  # what the master saw before its fork may be old
            self.look()
        threading.Thread(target=self._follow, name="versions", daemon=True).start()

    def _follow(self) -> None:
        yield_priority()
        while True:
            time.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Serve the store's current version now."""
        with self._lock:
            if self._look():
                self._changed()

    def _look(self) -> bool:
        try:
            version = self._versions.current()
            self.seen = True
            if not self._reachable:
                log.info("the model store answers again")
            self._reachable = True
            if version == self._live.version:
                was, self.refused = self.refused, {}
                return bool(was)
            if version is not None and version not in self.refused:
                return self._swap(version)
        except StorageError as error:
            if self._reachable:
                log.warning("the model store does not answer, the model stays: %s", error)
            self._reachable = False
        return False

    def _swap(self, version: str) -> bool:
        """Load a version; an error of any kind leaves the old one in its place."""
        self.refused = {}
        try:
            path = self._versions.fetch(version)
            self._live.serve(model_class(self._live.class_name).load(path), path, version)
        except StorageError:
            raise
        except (ModelFileError, NoSuchVersion) as error:
            self._refuse(version, str(error))
        except Exception as error:  # of whatever a model's own class does
            self._refuse(version, f"{type(error).__name__}: {error}")
        return True

    def _refuse(self, version: str, reason: str) -> None:
        log.error("version %s is refused, %s stays: %s", version, self._live.version, reason)
        self.refused = {version: reason}
