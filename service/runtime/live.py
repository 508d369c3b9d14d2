"""The model that is served now."""

from __future__ import annotations

import hashlib
import importlib
import logging
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from service.model import Model, ModelFileError
from service.settings import Settings, SettingsError

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
