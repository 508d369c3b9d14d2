"""Every replica serves the current version within a second: each process looks, loads, swaps."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from service.model import ModelFileError
from service.runtime.live import Live, model_class
from service.runtime.pool import yield_priority
from service.storage.blobs import StorageError
from service.storage.versions import NoSuchVersion, Versions

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
