"""Tokens of an OpenID Connect issuer, which publishes its keys over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from flask import Flask

from service.runtime.keys import Keys
from service.services.errors import Problem
from service.settings import Settings, SettingsError
from tests.helpers.inprocess import in_process


class Issuer:
    """An issuer with one signing key, which it can replace."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.replace_key()
        self.app = Flask("issuer")
        self.app.add_url_rule("/.well-known/openid-configuration", view_func=self.configuration)
        self.app.add_url_rule("/keys", view_func=self.keys)

    def replace_key(self) -> None:
        self.key: RSAPrivateKey = generate_private_key(65537, 2048)
        self.kid = str(id(self.key))

    def configuration(self) -> dict[str, str]:
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    def keys(self) -> dict[str, Any]:
        self.asked += 1
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key())
        return {"keys": [{**json.loads(public), "kid": self.kid, "use": "sig"}]}

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": "gpserve", "sub": "ada", "iat": now, "exp": now + 60}
        said |= {"roles": ["predict", "of another service"]} | claims
        return jwt.encode(said, self.key, "RS256", {"kid": self.kid})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    with in_process(made.app) as made.url:
        yield made


def keys_of(issuer: Issuer, **settings: str) -> Keys:
    given = {"oidc_issuer": issuer.url, "oidc_audience": "gpserve", "token": "secret"} | settings
    return Keys(Settings(**given))  # type: ignore[arg-type]


def test_a_token_is_a_caller_with_its_roles(issuer: Issuer) -> None:
    keys = keys_of(issuer)
    header = f"Bearer {issuer.token()}"
    caller = keys.identify(header)
    assert caller.owner == "oidc:ada"
    assert caller.roles == {"read", "predict"}
    assert keys.remembered(header.encode()) == caller
    assert keys.identify("Bearer secret").owner == "key:GPSERVE_TOKEN"
    nested = keys_of(issuer, oidc_roles_claim="realm_access.roles")
    token = issuer.token(realm_access={"roles": "train"})
    assert nested.identify(f"Bearer {token}").roles == {"read", "train"}
    assert nested.identify(header).roles == set()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "another service"}, "Audience"),
        ({"iss": "https://elsewhere"}, "issuer"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"sub": None}, "[Ss]ub"),
    ],
)
def test_a_token_that_is_not_for_us_is_401(
    issuer: Issuer, claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Problem, match=reason) as refused:
        keys_of(issuer).identify(f"Bearer {issuer.token(**claims)}")
    assert refused.value.status == 401


def test_a_token_that_the_issuer_did_not_sign_is_401(issuer: Issuer) -> None:
    forger = Issuer()
    forger.url, forger.kid = issuer.url, issuer.kid
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", "none", {"kid": issuer.kid})
    public = issuer.keys()["keys"][0]["n"]
    shared = jwt.encode(claims, public, "HS256", {"kid": issuer.kid})  # its public key as a secret
    for token in (forger.token(), unsigned, shared, "a.b.c", issuer.token()[:-8] + "AAAAAAAA"):
        with pytest.raises(Problem) as refused:
            keys_of(issuer).identify(f"Bearer {token}")
        assert refused.value.status == 401, token


def test_the_issuers_keys_are_kept(issuer: Issuer) -> None:
    keys, before = keys_of(issuer), issuer.asked
    for i in range(5):
        keys.identify(f"Bearer {issuer.token(jti=str(i))}")
    assert issuer.asked == before + 1


def test_an_issuer_that_does_not_answer_is_503_and_left_alone() -> None:
    made = Issuer()
    with in_process(made.app) as made.url:
        pass
    keys = keys_of(made)
    for _ in range(2):
        with pytest.raises(Problem) as refused:
            keys.identify(f"Bearer {made.token()}")
        assert refused.value.status == 503
    with in_process(made.app) as again:
        assert again
        with pytest.raises(Problem) as refused:  # it is not asked for a few seconds
            keys.identify(f"Bearer {made.token()}")
        assert (refused.value.status, made.asked) == (503, 0)
    assert keys.identify("Bearer secret").known


def test_an_issuer_without_an_audience_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="AUDIENCE"):
        Keys(Settings(oidc_issuer="https://issuer.example"))
