"""A caller: whose key it is, what it may do, and how much."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from service.services.errors import Problem

Role = Literal["read", "predict", "train", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_INCLUDED: dict[Role, tuple[Role, ...]] = {
    "read": ("read",),
    "predict": ("read", "predict"),
    "train": ("read", "train"),
    "admin": ROLES,
}
"""The roles that a role includes: who predicts or trains can also see the model."""

ANONYMOUS = "anonymous"
"""The owner of what callers without a key have sent."""

_Positive = Annotated[float, Meta(gt=0)]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key may use; None where only the settings limit it."""

    requests_per_second: _Positive | None = None
    points_per_second: _Positive | None = None
    open_jobs: Annotated[int, Meta(ge=0)] | None = None
    job_bytes: Annotated[int, Meta(ge=0)] | None = None

    @property
    def rated(self) -> bool:
        """Whether requests or points are counted."""
        return self.requests_per_second is not None or self.points_per_second is not None


NO_LIMITS = KeyLimits()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and what they may do.

    Attributes
    ----------
    owner : whose jobs they see: ``key:<name>``, ``oidc:<subject>``, or `ANONYMOUS`
    roles : with the ones that they include
    until : seconds since 1970 when the credentials expire
    """

    owner: str
    roles: frozenset[Role]
    until: float = math.inf
    limits: KeyLimits = NO_LIMITS

    @property
    def known(self) -> bool:
        """Whether the caller has shown valid credentials."""
        return self.owner != ANONYMOUS

    def may_see(self, owner: str) -> bool:
        """Whether the caller may see, fetch and cancel what `owner` has sent, knowing its id."""
        return owner in (self.owner, ANONYMOUS) or "admin" in self.roles


def including(roles: Iterable[Role]) -> frozenset[Role]:
    """Return the roles and all that they include."""
    return frozenset(included for role in roles for included in _INCLUDED[role])


def unauthorised(detail: str) -> Problem:
    """Return a 401: the credentials are missing or wrong."""
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
