"""schemathesis reads our OpenAPI and finds no 5xx and no undocumented answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"


@pytest.mark.parametrize("phase", ["examples,coverage", "fuzzing"])
def test_schemathesis(server: Server, tmp_path: Path, phase: str) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{server.url}/openapi.json",
        f"--phases={phase}",
        f"--checks={CHECKS}",
        "--max-examples=15",
        "--seed=1",
        "--workers=2",
        "--request-timeout=60",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
