"""The served model, and the thread that follows the store's current version."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from service.model import Model, ModelFileError, version_of
from service.runtime.pool import yield_priority
from service.settings import Settings, SettingsError
from service.storage import open_blobs
from service.storage.blobs import Blobs, StorageError
from service.storage.versions import NoSuchVersion, Versions

POLL_SECONDS = 0.5
"""The polling interval of the store: every replica serves a new version within a second."""

RETRY_SECONDS = 10.0
"""A version that could not be served is tried again after so long: its file may be repaired."""

log = logging.getLogger(__name__)


def model_class(dotted: str) -> type[Model]:
    """Return the class that a setting names as ``module:Class``.

    Raises `SettingsError`: the class cannot be imported, or is not a `Model`.
    """
    module, _, name = dotted.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"GPSERVE_MODEL_CLASS {dotted!r}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise SettingsError(f"GPSERVE_MODEL_CLASS {dotted!r} is not a subclass of Model")
    return found


def open_store(settings: Settings, *, patient: bool = False) -> Blobs:
    """Return the storage that the settings name; with `patient` it waits for it, as `open_blobs`.

    Raises `SettingsError`: its kind is unknown, or needs a package that is not installed.
    """
    try:
        return open_blobs(settings.store_url, patient=patient)
    except StorageError as error:
        raise SettingsError(f"GPSERVE_STORE: {error}") from error


def load_version(versions: Versions, version: str, class_name: str) -> tuple[Model, Path]:
    """Load a stored version as every replica will.

    Raises `ModelFileError`: the version cannot be served; the message says why.
    Raises `NoSuchVersion`: the version is not stored.
    Raises `StorageError`: the store cannot be reached.
    """
    path = versions.fetch(version)
    try:
        return model_class(class_name).load(path), path
    except ModelFileError:
        raise
    except Exception as error:  # a model's own class may raise anything
        raise ModelFileError(f"{type(error).__name__}: {error}") from error


class Served(NamedTuple):
    """A model, the file that it was loaded from, and the file's version."""

    model: Model
    path: Path
    version: str


class Live:
    """The current model, which each request takes once and keeps until its end.

    The version is computed here, from the file, and written into the model's description:
    headers, ``/model``, ``/models`` and ``If-Match`` agree whatever the model's class says.

    Attributes
    ----------
    model, version : what predicts now
    served : both of one moment, and their file
    initial : the model in the settings

    Raises `SettingsError`: the file in the settings cannot be read.
    Raises `ModelFileError`: it cannot be served.
    """

    served: Served

    def __init__(self, settings: Settings) -> None:
        self.class_name = settings.model_class
        path = settings.model
        try:
            model = model_class(settings.model_class).load(path)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"GPSERVE_MODEL: {path} cannot be read: {reason}") from None
        with path.open("rb") as file:
            self.serve(model, path, version_of(file))
        self.initial = self.served

    def serve(self, model: Model, path: Path, version: str) -> None:
        """Answer new requests with this model."""
        model.description = d = replace(model.description, version=version)
        self.model, self.version = model, version
        self.served = Served(model, path, version)
        by = f", {model.arithmetic}" if model.arithmetic else ""
        log.info(
            "serving %s %s (%s, %d points%s)", d.name, version, d.kernel, d.training_points, by
        )


class Follower:
    """Keeps the served model at the store's current version.

    Attributes
    ----------
    polled : whether the store has answered once: a process that does not know which version is
        current is not ready
    refused : the current version and why it cannot be served, or empty
    """

    def __init__(self, live: Live, versions: Versions) -> None:
        self._live = live
        self._versions = versions
        self._pid = 0
        self._lock = threading.RLock()
        self._changed: Callable[[], None] = lambda: None
        self._reachable = True
        self._said = False
        self.polled = False
        self.refused: dict[str, str] = {}
        self._refused_at = 0.0

    def start(self, changed: Callable[[], None]) -> None:
        """Check the store now, and from then on in a thread; once per process.

        `changed` is called when another version is served or refused.
        """
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._changed = changed
            self.polled = False  # what the master read before its fork may be outdated
            self.check()
        threading.Thread(target=self._follow, name="versions", daemon=True).start()

    def _follow(self) -> None:
        yield_priority()
        while True:
            time.sleep(POLL_SECONDS)
            self.check()

    def check(self) -> None:
        """Serve the store's current version now, or keep the old one if that is impossible."""
        with self._lock:
            before = self._live.version, self.refused
            try:
                self._serve(self._versions.current())
                self._note_reachable()
            except StorageError as error:
                self._note_unreachable(error)
            if (self._live.version, self.refused) != before:
                self._changed()

    def _serve(self, wanted: str | None) -> None:
        self.polled = True
        if wanted not in (None, self._live.initial.version) and not self._said:
            self._said = True
            path = self._live.initial.path
            log.info("the store's current version %s replaces the model of %s", wanted, path)
        if wanted == self._live.version:
            self.refused = {}
        elif wanted is not None and not self._refused_lately(wanted):
            try:
                self._live.serve(
                    *load_version(self._versions, wanted, self._live.class_name), wanted
                )
                self.refused = {}
            except (ModelFileError, NoSuchVersion) as error:
                self._refuse(wanted, str(error))

    def _refuse(self, wanted: str, reason: str) -> None:
        if self.refused != {wanted: reason}:
            log.error("refusing version %s, keeping %s: %s", wanted, self._live.version, reason)
        self.refused = {wanted: reason}
        self._refused_at = time.monotonic()

    def _refused_lately(self, wanted: str) -> bool:
        recent = time.monotonic() - self._refused_at < RETRY_SECONDS
        return wanted in self.refused and recent

    def _note_reachable(self) -> None:
        if not self._reachable:
            log.info("the model store is available again")
        self._reachable = True

    def _note_unreachable(self, error: StorageError) -> None:
        if self._reachable:
            log.warning("the model store is unavailable, keeping the model: %s", error)
        self._reachable = False
