"""Who may write: those who know the configured token."""

from __future__ import annotations

import hmac

from service.services.problems import Problem


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
