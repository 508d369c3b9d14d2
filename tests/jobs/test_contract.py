"""schemathesis reads our OpenAPI and finds no 5xx and no undocumented answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.stack import stack

JOBS = "path-regex=^/(jobs|train|models)"
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--checks=not_a_server_error,status_code_conformance,content_type_conformance",
    "--header=Authorization: Bearer secret",
    "--max-examples=15",
    "--seed=1",
    "--workers=1",  # more of them run into a race of CPython 3.11's ast module
    f"--request-timeout={PATIENCE_SECONDS:g}",
)


@pytest.mark.parametrize("paths", ["include", "exclude"], ids=["jobs", "predictions"])
def test_schemathesis(tmp_path: Path, paths: str) -> None:
    with stack(tmp_path / "stack") as made:
        url = f"{made.http}/openapi.json"
        done = subprocess.run(
            [SCHEMATHESIS, "run", url, *OPTIONS, f"--{paths}-{JOBS}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-16000:]
