"""The commands in the documents, with the outputs that stand below them.

In a ``console`` block a line that begins with ``$ `` is a command; what follows is its output.
`python -m tests.docs.commands` runs them all and writes the outputs anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.serving import ROOT, serving

DOCUMENTS = ("README.md", "docs/api.md", "docs/clients/curl.md", "docs/protocols.md")
ADDRESS = "localhost:5000"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


@dataclass
class Command:
    """A command of a document and the output that the document shows."""

    text: str
    output: str


def commands(document: str) -> Iterator[Command]:
    """The commands of a document that show a prompt."""
    for block in _BLOCK.findall((ROOT / document).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            text, _, output = part.partition("\n")
            yield Command(text, output.rstrip("\n"))


def run(command: Command, folder: Path, port: int) -> str:
    """What the command prints when it is run in `folder` against a server on `port`."""
    text = command.text.replace(ADDRESS, f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-c", text.replace(".venv/bin", str(Path(sys.executable).parent))],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(f"127.0.0.1:{port}", ADDRESS).rstrip("\n")


def write_anew() -> None:
    """Put today's outputs below the commands."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        for document in DOCUMENTS:
            path = ROOT / document
            text = path.read_text()
            for command in list(commands(document)):
                output = run(command, Path(folder), server.port)
                shown = f"$ {command.text}\n" + (f"{command.output}\n" if command.output else "")
                text = text.replace(
                    shown, f"$ {command.text}\n" + (f"{output}\n" if output else ""), 1
                )
            path.write_text(text)


if __name__ == "__main__":
    write_anew()
