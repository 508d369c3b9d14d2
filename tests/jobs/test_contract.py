"""Schemathesis tests the server against /openapi.json: no 5xx, no undocumented response."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.stack import stack

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--checks=not_a_server_error,status_code_conformance,content_type_conformance",
    "--header=Authorization: Bearer secret",
    "--max-examples=5",  # random requests per operation, after 2500 systematic ones
    "--seed=1",
    "--workers=1",  # more workers hit a race in CPython 3.11's ast module
    f"--request-timeout={PATIENCE_SECONDS:g}",
)


def test_schemathesis(tmp_path: Path) -> None:
    with stack(tmp_path / "stack") as system:
        done = subprocess.run(
            [
                SCHEMATHESIS,
                f"--config-file={CONFIGURATION}",
                "run",
                f"{system.http}/openapi.json",
                *OPTIONS,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-16000:]
