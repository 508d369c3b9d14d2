"""What both faces of the client are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import httpx

from gpserve_client._plan import ROWS, Plan
from gpserve_client.answers import FloatArray, ModelInfo
from gpserve_client.errors import VersionChanged
from gpserve_client.options import Options

VERSION_SECONDS = 10.0
"""All replicas serve a new version within 2 s of its activation; then one begins again."""


@dataclass(frozen=True)
class Settings:
    """See `Client`.

    Raises
    ------
    ValueError
        A number is too small for any request to be sent.
    """

    url: str
    token: str
    version: str
    rows: int
    concurrency: int
    attempts: int
    timeout: float | None
    headers: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in ("rows", "concurrency", "attempts"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout!r}")

    def http(self) -> dict[str, Any]:
        """The arguments of an HTTP client."""
        connections = httpx.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )
        timeout = httpx.Timeout(self.timeout, pool=None)
        headers = httpx.Headers({"Authorization": f"Bearer {self.token}"} if self.token else {})
        headers.update(self.headers)
        return {
            "base_url": self.url,
            "headers": headers,
            "limits": connections,
            "timeout": timeout,
        }

    def plan(self, X: FloatArray, options: Options, info: ModelInfo) -> Plan:
        """The requests for points of shape (..., d)."""
        return Plan(X, options, info, self.rows, self.concurrency)

    @property
    def version_seconds(self) -> float:
        """How long to begin again while a new version is being activated; never when pinned."""
        return 0.0 if self.version else VERSION_SECONDS

    def refuse_other(self, info: ModelInfo) -> ModelInfo:
        """Raise `VersionChanged` when another version is served than the one that is pinned."""
        if self.version and info.version != self.version:
            detail = f"the model's version is {info.version}, not {self.version}"
            raise VersionChanged(412, {"detail": detail})
        return info


class ClientBase:
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
