"""The application with a small model and small limits, which small inputs reach."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import msgspec

from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.fuzz import models
from tests.fuzz.answers import check
from tests.fuzz.running import Wrong

KEY = "gps_key"
_REFUSALS = (501, 503, 505)
"""Statuses above 499 that say what the request is to do: nothing has gone wrong."""


def runtime() -> Runtime:
    """Return the parts of a serving process, with a key and a token, and no queue.

    Each has a batcher, which belongs to one event loop.
    """
    folder = Path(tempfile.mkdtemp())
    models.numbers().save(folder / "model.npz")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    (folder / "keys.toml").write_text(f'[ada]\nsha256 = "{digest}"\nroles = ["predict"]\n')
    given = {
        "model": folder / "model.npz",
        "keys": folder / "keys.toml",
        "token": "secret",
        "max_header_bytes": 2048,
        "max_parsed_bytes": 2000,
        "max_json_bytes": 4000,
        "max_body_bytes": 8000,
        "max_points": 60,
        "max_covariance_points": 20,
        "max_sample_values": 200,
        "max_backlog_seconds": 1e6,
        "keepalive_requests": 12,
    }
    return Runtime(
        Settings.from_environ({f"GPSERVE_{k.upper()}": str(v) for k, v in given.items()})
    )


def check_answer(status: int, headers: dict[str, str], body: bytes) -> str:
    """Raise `Wrong` for an answer that nobody should get; return its kind."""
    if status >= 500 and status not in _REFUSALS:
        raise Wrong(f"the status is {status}: {body[:200]!r}")
    media_type = headers.get("content-type", "").partition(";")[0]
    if status >= 400:
        return f"{status} {_said(body) if body else 'without a body'}"
    if body:
        bad_rows = b'"errors"' in body or b",error\n" in body[:400]
        check(media_type, body, bad_rows=bad_rows)
    return f"{status} {media_type}"


def _said(body: bytes) -> str:
    document = msgspec.json.decode(body)
    if not isinstance(document, dict) or not {"detail", "error", "status"} & document.keys():
        raise Wrong(f"a refusal is no problem document: {body[:200]!r}")
    return str(document.get("detail", document.get("error")))[:12]
