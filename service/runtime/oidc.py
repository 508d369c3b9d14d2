"""Tokens of an OpenID Connect issuer: checked by its published keys. Needs the extra ``oidc``."""

from __future__ import annotations

import json
import logging
import threading
import time
from functools import cached_property
from typing import Any
from urllib.request import urlopen

from service.runtime.callers import ROLES, Caller, Role, including, unauthorised
from service.services.errors import Problem, busy
from service.settings import SettingsError

try:
    import jwt
except ImportError:
    raise SettingsError("GPSERVE_OIDC_ISSUER needs PyJWT: pip install 'pyjwt[crypto]'") from None

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by a private key that only the issuer has."""

_ANSWER_SECONDS = 3
_PAUSE_SECONDS = 5
"""An issuer that does not answer is left alone for a while: waiting for it takes a thread."""

_LEEWAY_SECONDS = 30


class Issuer:
    """An issuer of tokens, and what its tokens must say.

    Parameters
    ----------
    url : the ``iss`` of its tokens; ``<url>/.well-known/openid-configuration`` names its keys
    audience : the ``aud`` that tokens for this service have
    roles_claim : the claim that lists roles; dots lead into objects, as in ``realm_access.roles``
    """

    def __init__(self, url: str, audience: str, roles_claim: str) -> None:
        if not audience:
            raise SettingsError(
                "GPSERVE_OIDC_AUDIENCE is not set: without it, the issuer's tokens for any other "
                "service would be valid here"
            )
        if not url.startswith(("https://", "http://")):
            raise SettingsError("GPSERVE_OIDC_ISSUER must begin with https://")
        self._url, self._audience, self._roles_claim = url, audience, roles_claim
        self._asking = threading.Lock()
        self._ask_again = 0.0

    def caller(self, token: str) -> Caller:
        """Return the caller that a token stands for, with those of our roles that it lists.

        Raises `Problem`: 401 when it is not valid, 503 when the issuer does not answer.
        """
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._url,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise unauthorised(f"the bearer token is not valid: {str(error)[:200]}") from None
        roles = including(self._roles(claims))
        return Caller(f"oidc:{claims['sub']}", roles, float(claims["exp"]) + _LEEWAY_SECONDS)

    def _key(self, token: str) -> jwt.PyJWK:
        """Return the issuer's key that a token names; the issuer is asked every five minutes."""
        with self._asking:  # callers who wait for the same keys do not ask again
            if time.monotonic() < self._ask_again:
                raise _unavailable()
            try:
                return self._keys.get_signing_key_from_jwt(token)
            except (jwt.PyJWKClientConnectionError, OSError, ValueError, KeyError) as error:
                log.warning("the issuer of tokens does not answer: %s", error)
                self._ask_again = time.monotonic() + _PAUSE_SECONDS
                raise _unavailable() from None

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        address = f"{self._url.rstrip('/')}/.well-known/openid-configuration"
        with urlopen(address, timeout=_ANSWER_SECONDS) as answer:
            return jwt.PyJWKClient(json.load(answer)["jwks_uri"], timeout=_ANSWER_SECONDS)

    def _roles(self, claims: dict[str, Any]) -> list[Role]:
        found: Any = claims
        for name in self._roles_claim.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        given = found.split() if isinstance(found, str) else found or []
        return [role for role in ROLES if role in given]


def _unavailable() -> Problem:
    return busy("the issuer of tokens does not answer, try again shortly", _PAUSE_SECONDS)
