"""Headers with a meaning for every route: the model's version, If-Match, and bearer tokens."""

from __future__ import annotations

import hmac

from werkzeug.http import parse_etags
from werkzeug.wrappers import Response

from service.services.problems import Problem


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
    response.set_etag(version)


def require_token(authorization: str, token: str) -> None:
    """Raise a `Problem` unless ``Authorization`` is ``Bearer <token>``.

    Raises
    ------
    Problem
        403 when no token is configured, 401 when none or a wrong one was sent.
    """
    if not token:
        raise Problem(403, "training and activation are disabled: GPSERVE_TOKEN is not set")
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return
    is_bearer = scheme.lower() == "bearer"
    detail = "the bearer token is wrong" if is_bearer else "a bearer token is required"
    raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
