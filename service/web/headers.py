"""Headers of requests and answers: If-Match, the model's version, Prefer."""

from __future__ import annotations

import math
from contextlib import suppress

from werkzeug.http import parse_etags, parse_list_header
from werkzeug.wrappers import Request, Response

from service.services.errors import Problem


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


ASYNC = "respond-async"
"""The preference for a job."""


def prefers_async(request: Request) -> bool:
    """Whether ``Prefer`` asks to make this request a job at once."""
    return ASYNC in _preferences(request)


def wait_seconds(request: Request) -> float | None:
    """How long the caller is ready to wait before the request becomes a job.

    None when ``Prefer`` does not say so, or not in seconds: a preference that cannot be honoured
    is to be ignored (RFC 7240, section 2).
    """
    with suppress(ValueError):
        seconds = float(_preferences(request).get("wait", ""))
        if 0 <= seconds < math.inf:
            return seconds
    return None


def _preferences(request: Request) -> dict[str, str]:
    """Return the first value of each preference, without its parameters."""
    if request.method == "HEAD":  # it must not create a job
        return {}
    found: dict[str, str] = {}
    for item in parse_list_header(request.headers.get("Prefer", "")):
        name, _, value = item.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
