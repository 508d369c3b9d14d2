"""The model that is served now."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

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


class Live:
    """Holds the current model; requests take it once and keep it to their end."""

    def __init__(self, settings: Settings) -> None:
        self.path: Path = settings.model
        try:
            self.model: Model = model_class(settings.model_class).load(self.path)
        except ModelFileError as error:
            raise ModelFileError(f"{self.path}: {error}") from error
        d = self.model.description
        log.info("serving %s %s (%s, %d points)", d.name, d.version, d.kernel, d.training_points)
