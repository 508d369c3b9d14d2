"""The commands of docs/jobs.md run, against a server with a queue, and print what they say."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.commands import commands, run
from tests.jobs.stack import stack
from tests.serving import ROOT

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
KEPT = "source ./kept 2>/dev/null; "
"""Each command has a shell of its own: variables go from one to the next through a file."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="the document's commands use curl")
def test_commands(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "quakes.csv", folder)
    count = 0
    with stack(tmp_path / "stack") as made:
        for command in commands("docs/jobs.md"):
            text = f"{KEPT}{command.text}\ndeclare -p JOB FIRST > kept 2>/dev/null || true"
            output = run(replace(command, text=text), folder, made.servers[0].port)
            assert _NUMBER.sub("#", output) == _NUMBER.sub("#", command.output), command.text
            count += 1
    assert count > 10
