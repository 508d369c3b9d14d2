"""Schemathesis tests the server against /openapi.json: no 5xx, no undocumented response."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.stack import stack
from tests.jobs.contract import run_schemathesis


def test_schemathesis(tmp_path: Path) -> None:
    with stack(tmp_path / "stack") as system:
        done = run_schemathesis(system.http, tmp_path, examples=5, key=True)
    assert done.returncode == 0, done.stdout[-16000:]
