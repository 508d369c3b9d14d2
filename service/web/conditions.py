"""The model's version in answers, and requests that pin an experiment to one."""

from __future__ import annotations

from werkzeug.http import parse_etags
from werkzeug.wrappers import Response

from service.services.problems import Problem


def refuse_other_version(if_match: str, version: str) -> None:
    """Raise a `Problem` 412 when ``If-Match`` names versions and none is the one served."""
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
    """Say which version answered, for reading and for ``If-Match``."""
    response.headers["X-Model-Version"] = version
    response.set_etag(version)
