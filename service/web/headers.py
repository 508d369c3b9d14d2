"""The model's version in answers, and requests that pin an experiment to one."""

from __future__ import annotations

import hmac

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


def require_token(authorization: str, token: str) -> None:
    """Let a request through whose ``Authorization`` is ``Bearer <token>``.

    Raises
    ------
    Problem
        403 when no token is configured, 401 when none or a wrong one was sent.
    """
    if not token:
        raise Problem(403, "writing is off: the server has no GPSERVE_TOKEN")
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return
    said = "the bearer token is wrong" if scheme.lower() == "bearer" else "a bearer token is needed"
    raise Problem(401, said, headers={"WWW-Authenticate": "Bearer"})
