"""schemathesis on a server that has a queue: no 5xx, no undocumented answer of any job route."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.jobs.stack import stack


def test_schemathesis(tmp_path: Path) -> None:
    options = [
        "--phases=examples,coverage,fuzzing",
        "--checks=not_a_server_error,status_code_conformance,content_type_conformance",
        "--include-path-regex=^/(jobs|train|models|predict)",
        "--header=Authorization: Bearer secret",
        "--max-examples=10",
        "--seed=1",
        "--workers=1",  # more of them run into a race of CPython 3.11's ast module
    ]
    schemathesis = str(Path(sys.executable).with_name("schemathesis"))
    with stack(tmp_path / "stack") as made:
        command = [schemathesis, "run", f"{made.http}/openapi.json", *options]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stdout[-16000:]
