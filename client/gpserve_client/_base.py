"""What `Client` and `AsyncClient` have in common: their settings and how they are copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import httpx2

from gpserve_client._plan import ROWS, Plan
from gpserve_client._retries import on_version_change
from gpserve_client.answers import FloatArray, ModelInfo
from gpserve_client.errors import VersionChanged
from gpserve_client.options import Options

VERSION_SECONDS = 10.0
"""How long to start again after `VersionChanged`. Replicas disagree for 2 s at most after an
activation."""


@dataclass(frozen=True)
class Settings:
    """The parameters of a client; see `Client`.

    Raises
    ------
    ValueError
        A number is out of range, or the URL is no address of a service.
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
        object.__setattr__(self, "url", _checked_url(self.url))
        for name in ("rows", "concurrency", "attempts"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be None or a positive number, not {self.timeout!r}")

    def http(self) -> dict[str, Any]:
        """Return the arguments of an HTTP client."""
        limits = httpx2.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )
        headers = httpx2.Headers({"Authorization": f"Bearer {self.token}"} if self.token else {})
        headers.update(self.headers)
        return {
            "base_url": self.url,
            "headers": headers,
            "limits": limits,
            "timeout": httpx2.Timeout(self.timeout, pool=None),
        }

    def plan(self, X: FloatArray, options: Options, info: ModelInfo) -> Plan:
        """Return the requests for points of shape (..., d)."""
        return Plan(X, options, info, self.rows, self.concurrency)

    def refuse_other_version(self, info: ModelInfo) -> ModelInfo:
        """Return `info`, or raise `VersionChanged` if its version is not the pinned one."""
        if self.version and info.version != self.version:
            detail = f"the service serves version {info.version}, not {self.version}"
            raise VersionChanged(412, {"detail": detail})
        return info


def _checked_url(url: Any) -> str:
    """Return the URL without blanks around it.

    Raises
    ------
    ValueError
        It is not ``http://`` or ``https://`` and a host, or has what belongs to one request.
    """
    text = str(url).strip() if isinstance(url, str | httpx2.URL) else ""
    example = "as in 'http://localhost:5000'"
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError(f"url must begin with http:// or https://, {example}, not {url!r}")
    try:
        parsed = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ValueError(f"url cannot be read, {example}: {error} in {url!r}") from None
    if not parsed.host or len(text.split()) > 1 or not 0 <= (parsed.port or 0) < 65536:
        raise ValueError(f"url must have a host and perhaps a port, {example}, not {url!r}")
    if parsed.query or parsed.fragment or parsed.path.endswith("/predict"):
        raise ValueError(f"url must be that of the service, {example}, not of a request: {url!r}")
    return text


class ClientBase:
    """Base class of `Client` and `AsyncClient`; copies are made from the settings alone.

    See `Client` for the parameters.
    """

    _settings: Settings
    _model: ModelInfo | None

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
        self._settings = settings
        self._model = None

    def _retry_version_change(self) -> dict[str, Any]:
        """Return arguments for tenacity; a client with a pinned version does not retry."""
        seconds = 0.0 if self._settings.version else VERSION_SECONDS
        return on_version_change(seconds, self._forget_model)

    def _forget_model(self) -> None:
        self._model = None
