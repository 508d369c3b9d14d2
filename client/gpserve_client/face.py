"""What both faces of the client are: settings, by which alone a copy is made."""

from __future__ import annotations

from collections.abc import Mapping

from gpserve_client._base import Settings
from gpserve_client._plan import ROWS


class Face:
    """See `Client` for the parameters."""

    _settings: Settings

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        version: str = "",
        rows: int = ROWS,
        concurrency: int = 8,
        attempts: int = 10,
        timeout: float | None = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.__setstate__(
            Settings(url, token, version, rows, concurrency, attempts, timeout, headers or {})
        )

    def __getstate__(self) -> Settings:
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        raise NotImplementedError
