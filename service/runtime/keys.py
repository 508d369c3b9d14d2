"""Keys of callers, by their hashes, from a file that is read anew when it changes."""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from datetime import time as midnight
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from service.runtime.callers import ANONYMOUS, Caller, KeyLimits, Role, including, unauthorised
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.runtime.oidc import Issuer

log = logging.getLogger(__name__)

_BASIC_ROLES = frozenset[Role]({"read", "predict"})
"""What a key may do that is sent as a password. A browser sends a password again by itself, also
when another site's page makes it send a request, so that must not change anything."""

LOOK_SECONDS = 1.0
_MOST_REMEMBERED = 10_000

_Digest = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
_LONGEST_NAME = 64
_Name = Annotated[str, Meta(pattern=rf"^[!-~]([ -~]{{0,{_LONGEST_NAME - 2}}}[!-~])?\Z")]


class Entry(KeyLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key in the file: ``[name]`` and these fields. Two hashes let a key be replaced."""

    sha256: _Digest | list[_Digest]
    roles: Annotated[list[Role], Meta(min_length=1)]
    expires: date | None = None

    @property
    def digests(self) -> list[str]:
        """The hashes, in lower case."""
        given = [self.sha256] if isinstance(self.sha256, str) else self.sha256
        return [digest.lower() for digest in given]

    @property
    def until(self) -> float:
        """When the key expires, in seconds since 1970: the date begins at midnight, UTC."""
        if self.expires is None:
            return math.inf
        return datetime.combine(self.expires, midnight.min, UTC).timestamp()


_Callers = dict[bytes, Caller]


class _Read(NamedTuple):
    """What one reading of the file has found.

    Attributes
    ----------
    callers : by the hashes of their keys
    remembered : by the hash of an ``Authorization``. It belongs to these callers, so that whoever
        still looks one up while the file is read again cannot leave a revoked key behind
    """

    callers: _Callers
    remembered: _Callers


class Keys:
    """The callers that this server knows.

    Raises `SettingsError`: the file of keys cannot be read, or nobody could use the service.
    """

    def __init__(self, settings: Settings) -> None:
        open_to_all: dict[str, tuple[Role, ...]] = {"predict": ("predict",), "read": ("read",)}
        roles = including(open_to_all.get(settings.anonymous, ()))
        self.anonymous = Caller(ANONYMOUS, roles)
        self._token = settings.token
        self._path = Path(settings.keys) if settings.keys else None
        self._issuer = _issuer(settings)
        self._seen: tuple[int, ...] = () if self._path is None else _stamp(self._path)
        self._look_again = 0.0
        self._known = self._read()
        if not self.configured and settings.anonymous != "predict":
            raise SettingsError(
                f"GPSERVE_ANONYMOUS={settings.anonymous} shuts everybody out: set GPSERVE_KEYS, "
                "GPSERVE_TOKEN or GPSERVE_OIDC_ISSUER as well"
            )

    @property
    def configured(self) -> bool:
        """Whether there are any credentials that this server could know."""
        return bool(self._path or self._token or self._issuer)

    def remembered(self, authorization: bytes) -> Caller | None:
        """Return a caller whose requests need not be counted, or None: ask `identify`.

        It takes a microsecond, so that the event loop can afford it.
        """
        self._follow()
        caller = self._known.remembered.get(sha256(authorization).digest())
        return caller if caller is not None and time.time() < caller.until else None

    def identify(self, authorization: str) -> Caller:
        """Return the caller who sends this ``Authorization``.

        A bearer token must be valid, if this server knows any. A password (Basic) that is no key
        may be meant for the ingress, and is ignored like other schemes.

        Raises `Problem`: 401 for a wrong or expired token, 503 when its issuer does not answer.
        """
        self._follow()
        known = self._known
        scheme, _, credentials = authorization.partition(" ")
        caller: Caller | None = None
        if scheme.lower() == "bearer" and self.configured:
            caller = self._of_token(credentials.strip(), known.callers)
        elif scheme.lower() == "basic":
            caller = _of_password(credentials.strip(), known.callers)
        if caller is None:
            return self.anonymous
        if not caller.limits.rated:
            _remember(authorization, caller, known.remembered)
        return caller

    def _of_token(self, token: str, callers: _Callers) -> Caller:
        caller = _of_key(token, callers)
        if caller is None and self._issuer is not None and token.count(".") == 2:
            return self._issuer.caller(token)
        if caller is None:
            raise unauthorised("the bearer token is wrong")
        if time.time() >= caller.until:
            raise unauthorised(f"the {caller.owner.replace(':', ' ')} has expired")
        return caller

    def _follow(self) -> None:
        """Read the file again when it has changed; a broken one changes nothing."""
        now = time.monotonic()
        if self._path is None or now < self._look_again:
            return
        self._look_again = now + LOOK_SECONDS
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        try:
            self._known = self._read()
        except SettingsError as error:
            log.error("%s; the keys that were read before remain valid", error)
        else:
            log.info("read the keys again", extra={"keys": len(self._known.callers)})
        self._seen = stamp

    def _read(self) -> _Read:
        callers = read_keys(self._path) if self._path is not None else {}
        if self._token:
            callers[_digest(self._token)] = Caller("key:GPSERVE_TOKEN", including(["admin"]))
        return _Read(callers, {})


def _of_password(credentials: str, callers: _Callers) -> Caller | None:
    try:
        name_and_key = base64.b64decode(credentials, validate=True).decode()
    except ValueError:  # not base64, not ASCII, or not UTF-8
        return None
    caller = _of_key(name_and_key.partition(":")[2], callers)
    if caller is None or time.time() >= caller.until:
        return None
    return replace(caller, roles=caller.roles & _BASIC_ROLES)


def _of_key(key: str, callers: _Callers) -> Caller | None:
    """Look a key up by its hash: how long that takes says nothing about any key."""
    return callers.get(_digest(key))


def _remember(authorization: str, caller: Caller, remembered: _Callers) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        remembered.clear()
    remembered[sha256(authorization.encode("latin-1", "replace")).digest()] = caller


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def _issuer(settings: Settings) -> Issuer | None:
    if not settings.oidc_issuer:
        return None
    # Imported here: only who needs it has installed the package.
    from service.runtime.oidc import Issuer

    return Issuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles_claim)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file does, also one that Kubernetes replaces through a symbolic link."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def read_keys(path: Path) -> dict[bytes, Caller]:
    """Read a file of keys: the caller of each hash.

    Raises `SettingsError`: it cannot be read, is not valid, or two keys are the same.
    """
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=dict[_Name, Entry])
    except OSError as error:
        raise SettingsError(f"GPSERVE_KEYS: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # all that the TOML parser and msgspec raise
        raise SettingsError(f"GPSERVE_KEYS: {path} is not valid: {error}") from None
    callers: dict[bytes, Caller] = {}
    for key, entry in entries.items():
        caller = Caller(f"key:{key}", including(entry.roles), entry.until, entry)
        for digest in map(bytes.fromhex, entry.digests):
            if digest in callers:
                other = callers[digest].owner.removeprefix("key:")
                raise SettingsError(f"GPSERVE_KEYS: {key!r} and {other!r} have the same key")
            callers[digest] = caller
    return callers


def new_key(name: str, roles: Iterable[str]) -> tuple[str, str]:
    """Return a new key of 256 random bits, and its entry for the file, with its hash.

    Such a key cannot be guessed from its SHA-256; a password that people choose could.

    Raises `ValueError`: `read_keys` would refuse the name.
    """
    try:
        msgspec.convert(name, _Name)
    except msgspec.ValidationError:
        raise ValueError(
            f"{name!r} cannot be the name of a key: a name has 1 to {_LONGEST_NAME} letters, "
            "digits, signs or inner blanks of ASCII, for logs and headers"
        ) from None
    key = f"gps_{secrets.token_urlsafe(32)}"
    listed = ", ".join(f'"{role}"' for role in roles)
    digest = sha256(key.encode()).hexdigest()
    return key, f'[{_quoted(name)}]\nsha256 = "{digest}"\nroles = [{listed}]\n'


def _quoted(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
