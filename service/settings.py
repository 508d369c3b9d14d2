"""Every setting: an environment variable GPSERVE_<NAME>, its default and its reason."""

from __future__ import annotations

import ast
import inspect
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

PREFIX = "GPSERVE_"
_SERVICE_LINK = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)")
"""The variables that Kubernetes sets for a Service named gpserve."""

_REDIS_SCHEMES = ("redis", "rediss", "unix")
_HOST_AND_PORT = re.compile(
    r"(?P<host>\[[0-9a-f:.]+(%[\w.-]+)?\]|[\w.-]*):(?P<port>\d{1,5})", re.ASCII | re.IGNORECASE
)
_OTHER_ADDRESS = re.compile(r"unix:.+|fd://[0-9]+")
_LARGEST_PORT = 65535

Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


class SettingsError(ValueError):
    """An environment variable has an unknown name or an invalid value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings, with the defaults of a pod of one CPU."""

    model: Path = Path(__file__).with_name("pretrained.npz")
    """The model file to serve; the default is the bundled model. Where there is a store, this is
    the first version: once another is activated, that one is served, also after a restart."""
    model_class: str = "service.gpr:GPR"
    """`module:Class` of a model that is not a Gaussian process."""
    store: str = ""
    """Where versions, uploads and results are stored: `file:///folder`, `redis://…`, or with the
    extra `stores` an object store (`s3://bucket/prefix`, `gs://`, `abfs://`, `http://`). Default:
    in Redis, if that is set."""
    redis_url: str = ""
    """The Redis of the job queue; also read from `REDIS_URL`. Without it jobs are disabled, unless
    `make run` starts its own."""
    token: str = ""
    """A bearer token with the role `admin`: training, publishing and activation are disabled
    without it, unless `keys` or `oidc_issuer` is set."""
    keys: str = ""
    """A file of keys, by their hashes, with roles and limits: docs/security.md. It is read again
    when it changes."""
    anonymous: Literal["predict", "read", "none"] = "predict"
    """What callers without a key may do: see the model and `predict`, only see the model (`read`),
    or `none` of both."""
    oidc_issuer: str = ""
    """The address of an OpenID Connect issuer whose tokens are accepted, with the extra `oidc`."""
    oidc_audience: str = ""
    """The audience that its tokens must name."""
    oidc_roles_claim: str = "roles"
    """The claim of its tokens that lists roles, as `realm_access.roles`."""
    data: str = ""
    """The folder in which `make run` keeps versions, jobs and its Valkey; default: the user's data
    folder."""
    job_ttl_seconds: Annotated[float, Meta(ge=1, le=1_000_000_000)] = 86_400.0
    """How long a job's record and result are kept after it ends; at least a second."""
    max_open_jobs: Count = 1000
    """Waiting and running jobs that one caller may have; beyond it 429."""
    max_job_bytes: Count = 8 << 30
    """The largest total size of one caller's job uploads; beyond it 429."""
    chunk_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """How long a worker computes one chunk of a large prediction: the work that is lost with a
    worker, and the time until others can help."""
    max_sync_seconds: Seconds = 120.0
    """With jobs enabled, a synchronous request that is estimated to take longer gets a 413 that
    asks to send it as a job, instead of failing at some time-out."""
    worker_bind: str = "0.0.0.0:5002"
    """Address and port of a worker's health (`python -m service worker`)."""
    bind: str = "0.0.0.0:5000"
    """Address and port: all interfaces, as a container requires. `make run` has 127.0.0.1:5000."""
    workers: Count = 1
    """Processes. One fills a pod: scale by pods, whose number an HPA can set."""
    threads: Count = 8
    """Threads for uploads and other large requests. They share the CPUs, so more of them use more
    memory, but are not faster."""
    max_body_bytes: Count = 2 << 30
    """The largest body, also after decompression; beyond it 413."""
    max_json_bytes: Count = 16 << 20
    """The largest JSON body, `{"points": [[…], …]}`, and the largest training data: their numbers
    are in memory, unlike those of CSV and .npy. All threads with such a body, one of them parsing
    training data, fit the chart's memory limit."""
    max_parsed_bytes: Count = 4 << 20
    """The largest JSON in any other form (objects, columns, v2, UM-Bridge), and the largest form:
    parsed as a whole, a byte becomes up to 25, so only one large document is parsed at a time."""
    max_model_bytes: Count = 128 << 20
    """The largest model file that `POST /models` takes, also after decompression; beyond it 413. It
    is proven in a process of its own, which may take four times as much and 256 MiB."""
    max_points: Count = 20_000_000
    """Points in one request; beyond it 413."""
    max_covariance_points: Count = 1000
    """Points with `covariance=true`: the answer grows with the square."""
    max_sample_values: Count = 1_000_000
    """Points times draws with `samples=n` in one request. Pathwise draws may take 32 times as many
    numbers, of which each has 4096 for each term of the kernel and three for each training row."""
    max_backlog_seconds: Seconds = 1.0
    """How much estimated work may be queued before small requests get 503 at once, since a late
    answer helps nobody."""
    max_waiting_uploads: Annotated[int, Meta(ge=0)] = 32
    """How many large requests may wait for a thread; beyond it 503."""
    keepalive_seconds: Seconds = 120.0
    """How long an idle connection is kept: longer than the idle time-out of the usual ingress (60
    to 90 s), so that the ingress closes it first."""
    keepalive_requests: Count = 10_000
    """Requests per connection before the answer says `Connection: close`, so that long-lived
    clients find new replicas."""
    header_timeout_seconds: Seconds = 10.0
    """Time to receive a request's header; then 408."""
    body_timeout_seconds: Seconds = 30.0
    """How long a body or an answer may make no progress; then it is ended."""
    body_min_bytes_per_second: Count = 256
    """The lowest rate of a body that counts as progress."""
    max_header_bytes: Count = 32 << 10
    """The largest header of a request; beyond it 431."""
    graceful_seconds: Seconds = 30.0
    """Time for running requests to finish after SIGTERM."""
    drain_seconds: Seconds = 2.0
    """How long after SIGTERM connections are still accepted, while every answer says `Connection:
    close`: clients move on without a reset."""
    worker_timeout_seconds: Seconds = 60.0
    """A worker whose event loop is unresponsive for this long is replaced."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    access_log: Literal["off", "errors", "all"] = "errors"
    """Which requests are logged: an ingress logs them already, and one line per request costs a
    tenth of the speed. `errors` are 500 and above, without 503."""

    @property
    def store_url(self) -> str:
        """Where versions and the jobs' data are stored, or empty."""
        return self.store or self.redis_url

    @property
    def server_addresses(self) -> list[tuple[str, int]]:
        """Host and port of each of the server's addresses that is no Unix socket or descriptor."""
        given = [address.strip() for address in self.bind.split(",")]
        named = [address for address in given if not _OTHER_ADDRESS.fullmatch(address)]
        return [host_and_port("bind", address.removeprefix("tcp://")) for address in named]

    @property
    def worker_address(self) -> tuple[str, int]:
        """Host and port of a worker's health."""
        return host_and_port("worker_bind", self.worker_bind)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from the environment.

        Raises `SettingsError`: a value is invalid, or a variable with our prefix is not a setting.
        """
        given = {
            key.removeprefix(PREFIX).lower(): value
            for key, value in environ.items()
            if key.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(key.removeprefix(PREFIX))
        }
        if environ.get("REDIS_URL"):
            given.setdefault("redis_url", environ["REDIS_URL"])
        for name in ("bind", "worker_bind"):
            if not given.get(name, name):
                del given[name]
        unknown = sorted(given.keys() - set(cls.__struct_fields__))
        if unknown:
            raise SettingsError(f"{PREFIX}{unknown[0].upper()} is not a setting")
        check_redis_url("redis_url", given.get("redis_url", ""))
        if given.get("store", "").partition("://")[0] in _REDIS_SCHEMES:
            check_redis_url("store", given["store"])
        try:
            settings = msgspec.convert(
                given, cls, strict=False, dec_hook=lambda kind, text: kind(text)
            )
        except msgspec.ValidationError as error:
            reason, _, where = str(error).partition(" - at `$.")
            raise SettingsError(f"{PREFIX}{where.rstrip('`').upper()}: {reason}") from None
        settings.server_addresses, settings.worker_address  # noqa: B018 - reading checks them
        return settings


def host_and_port(setting: str, address: str) -> tuple[str, int]:
    """Return the parts of an address in a setting, the host without brackets; it may be empty.

    Raises `SettingsError`: it is not HOST:PORT.
    """
    found = _HOST_AND_PORT.fullmatch(address)
    if not found or int(found["port"]) > _LARGEST_PORT:
        raise SettingsError(
            f"{PREFIX}{setting.upper()} is {address!r}: it must be HOST:PORT with a port of at "
            f"most {_LARGEST_PORT}, as 127.0.0.1:5001 or [::1]:5001"
        )
    return found["host"].strip("[]"), int(found["port"])


def listening(setting: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens at the address of a setting.

    Raises `SettingsError`: it is in use, or not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while attempting")[0]
        raise SettingsError(
            f"cannot listen on {host}:{port}: {reason}; choose another address with "
            f"{PREFIX}{setting.upper()}, for instance 127.0.0.1:5001"
        ) from None


def check_redis_url(setting: str, url: str) -> None:
    """Raise a `SettingsError` for an address that no Redis can have; it shows no password."""
    if not url:
        return
    name = PREFIX + setting.upper()
    scheme, separator, rest = url.partition("://")
    wanted = "it must begin with redis://, rediss:// or unix://, as redis://host:6379/0"
    if not separator:
        raise SettingsError(f"{name} is no URL: {wanted}")
    if scheme not in _REDIS_SCHEMES:
        raise SettingsError(f"{name} has the scheme {scheme[:20]}://: {wanted}")
    if rest.partition("/")[0].count("@") > 1 or "#" in rest:
        raise SettingsError(f"{name} has an @, / or # in its password: write %40, %2F or %23")
    try:
        urlsplit(url).port  # noqa: B018 - reading it checks it
    except ValueError:
        raise SettingsError(f"{name} has a port that is no number: {wanted}") from None
    # Imported here: a pod without a queue saves the time and memory that Redis takes.
    from redis import ConnectionPool

    try:
        ConnectionPool.from_url(url).make_connection()
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{name} has a wrong option after the ?: {error}") from None


def as_markdown() -> str:
    """Return the settings as a Markdown page, docs/settings.md."""
    rows = [
        "# Settings",
        "",
        "Each is an environment variable, read once at the start; an invalid one stops the start.",
        "`python -m service settings` prints this page.",
        "",
        "| variable | default | what it does, and why |",
        "| --- | --- | --- |",
    ]
    descriptions = _descriptions()
    for field in msgspec.structs.fields(Settings):
        default = "bundled" if field.name == "model" else field.default
        description = descriptions[field.name]
        rows.append(f"| `{PREFIX}{field.name.upper()}` | `{default}` | {description} |")
    return "\n".join(rows) + "\n"


def _descriptions() -> dict[str, str]:
    """Return the text below each field of `Settings`."""
    [settings] = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(settings, ast.ClassDef)
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in zip(settings.body, settings.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
