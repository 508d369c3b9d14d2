"""Headers of requests and answers: If-Match, the model's version, Prefer."""

from __future__ import annotations

import math
from contextlib import suppress

from werkzeug.http import parse_dict_header, parse_etags
from werkzeug.wrappers import Request, Response

from service.services.errors import Problem, malformed


def refuse_other_version(if_match: str, version: str) -> None:
    """Raise a `Problem` 412 when ``If-Match`` is set and does not name the served version."""
    if not if_match:
        return
    etags = parse_etags(if_match)
    if version not in etags:
        raise Problem(
            412,
            f"the model's version is {version}, not {if_match[:80]}",
            where={"version": version},
            headers={"ETag": f'"{version}"'},
        )


def mark_version(response: Response, version: str) -> None:
    """Set the headers that say which version answered."""
    response.headers["X-Model-Version"] = version
    response.headers["ETag"] = f'"{version}"'


def prefers_async(request: Request) -> bool:
    """Whether ``Prefer`` asks to make this request a job at once."""
    return "respond-async" in _preferences(request)


def wait_seconds(request: Request) -> float | None:
    """How long the caller is ready to wait before the request becomes a job.

    Raises `Problem`: 400 when ``Prefer: wait`` is not a number of seconds.
    """
    wait = _preferences(request).get("wait")
    if wait is None:
        return None
    with suppress(ValueError):
        seconds = float(wait)
        if 0 <= seconds < math.inf:
            return seconds
    raise malformed(f"Prefer: wait={wait[:40]!r} is not a number of seconds")


def _preferences(request: Request) -> dict[str, str | None]:
    if request.method == "HEAD":  # it must not create a job
        return {}
    preferences = parse_dict_header(request.headers.get("Prefer", ""))
    return {name.lower(): value for name, value in preferences.items()}
