"""Every setting: an environment variable GPSERVE_<NAME>, its default and its reason."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

PREFIX = "GPSERVE_"
_SERVICE_LINK = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)")
"""The variables that Kubernetes sets for a Service named gpserve."""

Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


class SettingsError(ValueError):
    """An environment variable has an unknown name or an invalid value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings, with the defaults of a pod of one CPU."""

    model: Annotated[
        Path, Meta(description="The model file to serve; the default is the bundled model.")
    ] = Path(__file__).with_name("pretrained.npz")
    model_class: Annotated[
        str,
        Meta(description="`module:Class` of a model that is not a Gaussian process."),
    ] = "service.gpr:GPR"
    store: Annotated[
        str,
        Meta(
            description="Where versions, uploads and results are stored: `file:///folder`, "
            "`redis://…`, or with the extra `stores` an object store (`s3://bucket/prefix`, "
            "`gs://`, `abfs://`, `http://`). Default: in Redis, if that is set."
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(
            description="The Redis of the job queue; also read from `REDIS_URL`. Without it jobs "
            "are disabled, unless `make run` starts its own."
        ),
    ] = ""
    token: Annotated[
        str,
        Meta(
            description="The bearer token required by `/train` and activation; "
            "without one they are disabled."
        ),
    ] = ""
    data: Annotated[
        str,
        Meta(
            description="The folder in which `make run` keeps versions, jobs and its Valkey; "
            "default: the user's data folder."
        ),
    ] = ""
    job_ttl_seconds: Annotated[
        Seconds, Meta(description="How long a job's record and result are kept after it ends.")
    ] = 86_400.0
    max_open_jobs: Annotated[
        Count, Meta(description="Waiting and running jobs that one caller may have; beyond it 429.")
    ] = 1000
    max_job_bytes: Annotated[
        Count,
        Meta(description="The largest total size of one caller's job uploads; beyond it 429."),
    ] = 8 << 30
    chunk_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a worker computes one chunk of a large prediction: the work that "
            "is lost with a worker, and the time until others can help.",
        ),
    ] = 1.0
    max_sync_seconds: Annotated[
        Seconds,
        Meta(
            description="With jobs enabled, a synchronous request that is estimated to take longer "
            "gets a 413 that asks to send it as a job, instead of failing at some time-out."
        ),
    ] = 120.0
    worker_bind: Annotated[
        str, Meta(description="Address and port of a worker's health (`python -m service worker`).")
    ] = "0.0.0.0:5002"
    bind: Annotated[
        str, Meta(description="Address and port: all interfaces, as a container requires.")
    ] = "0.0.0.0:5000"
    workers: Annotated[
        Count,
        Meta(description="Processes. One fills a pod: scale by pods, whose number an HPA can set."),
    ] = 1
    threads: Annotated[
        Count,
        Meta(
            description="Threads for uploads and other large requests. "
            "They share the CPUs, so more of them use more memory, but are not faster."
        ),
    ] = 8
    max_body_bytes: Annotated[
        Count, Meta(description="The largest body, also after decompression; beyond it 413.")
    ] = 2 << 30
    max_json_bytes: Annotated[
        Count,
        Meta(description="The largest JSON body: JSON is parsed in memory, unlike CSV and .npy."),
    ] = 64 << 20
    max_points: Annotated[Count, Meta(description="Points in one request; beyond it 413.")] = (
        20_000_000
    )
    max_covariance_points: Annotated[
        Count, Meta(description="Points with `covariance=true`: the answer grows with the square.")
    ] = 1000
    max_sample_values: Annotated[
        Count, Meta(description="Points times draws with `samples=n` in one request.")
    ] = 1_000_000
    max_backlog_seconds: Annotated[
        Seconds,
        Meta(
            description="How much estimated work may be queued before small requests get 503 "
            "at once, since a late answer helps nobody."
        ),
    ] = 1.0
    max_waiting_uploads: Annotated[
        int,
        Meta(ge=0, description="How many large requests may wait for a thread; beyond it 503."),
    ] = 32
    keepalive_seconds: Annotated[
        Seconds,
        Meta(
            description="How long an idle connection is kept: longer than the idle time-out "
            "of the usual ingress (60 to 90 s), so that the ingress closes it first."
        ),
    ] = 120.0
    keepalive_requests: Annotated[
        Count,
        Meta(
            description="Requests per connection before the answer says `Connection: close`, "
            "so that long-lived clients find new replicas."
        ),
    ] = 10_000
    header_timeout_seconds: Annotated[
        Seconds, Meta(description="Time to receive a request's header; then 408.")
    ] = 10.0
    body_timeout_seconds: Annotated[
        Seconds,
        Meta(description="How long a body or an answer may make no progress; then it is ended."),
    ] = 30.0
    body_min_bytes_per_second: Annotated[
        Count, Meta(description="The lowest rate of a body that counts as progress.")
    ] = 256
    max_header_bytes: Annotated[
        Count, Meta(description="The largest header of a request; beyond it 431.")
    ] = 32 << 10
    graceful_seconds: Annotated[
        Seconds, Meta(description="Time for running requests to finish after SIGTERM.")
    ] = 30.0
    drain_seconds: Annotated[
        Seconds,
        Meta(
            description="How long after SIGTERM connections are still accepted, while every answer "
            "says `Connection: close`: clients move on without a reset."
        ),
    ] = 2.0
    worker_timeout_seconds: Annotated[
        Seconds,
        Meta(description="A worker whose event loop is unresponsive for this long is replaced."),
    ] = 60.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The lowest level that is logged."),
    ] = "info"
    access_log: Annotated[
        Literal["off", "errors", "all"],
        Meta(
            description="Which requests are logged: an ingress logs them already, and one line "
            "per request costs a tenth of the speed. `errors` are 500 and above, without 503."
        ),
    ] = "errors"

    @property
    def store_url(self) -> str:
        """Where versions and the jobs' data are stored, or empty."""
        return self.store or self.redis_url

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
        unknown = sorted(given.keys() - set(cls.__struct_fields__))
        if unknown:
            raise SettingsError(f"{PREFIX}{unknown[0].upper()} is not a setting")
        try:
            return msgspec.convert(given, cls, strict=False, dec_hook=lambda kind, text: kind(text))
        except msgspec.ValidationError as error:
            reason, _, where = str(error).partition(" - at `$.")
            raise SettingsError(f"{PREFIX}{where.rstrip('`').upper()}: {reason}") from None


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
    for field in msgspec.structs.fields(Settings):
        meta = next(m for m in field.type.__metadata__ if m.description)
        default = "bundled" if field.name == "model" else field.default
        rows.append(f"| `{PREFIX}{field.name.upper()}` | `{default}` | {meta.description} |")
    return "\n".join(rows) + "\n"
