"""Run the commands in the documents, and compare or update the output shown below them.

In a ``console`` block, a line that begins with ``$ `` is a command; its output follows.
`python -m tests.docs.commands` runs all of them and updates the outputs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import ROOT
from tests.helpers.stack import stack

DOCUMENTS = (
    "README.md",
    "docs/api.md",
    "docs/jobs.md",
    "docs/clients/curl.md",
    "docs/protocols.md",
    "docs/security.md",
)
ADDRESS = "localhost:5000"
_BLOCK = re.compile(r"```console\n.*?```", re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)
_IN_A_SHELL = "set -a; . ./.variables 2>/dev/null\n{}\ns=$?; export -p > .variables; exit $s"
"""Each command runs in its own process; a file carries variables from one to the next."""


@dataclass
class Command:
    """A command of a document and the output that the document shows."""

    text: str
    output: str


def commands(document: str) -> Iterator[Command]:
    """Yield the commands of a document that have a prompt."""
    for block in _BLOCK.findall((ROOT / document).read_text()):
        for text, output in _COMMAND.findall(block):
            yield Command(text, output.rstrip("\n"))


def run(text: str, folder: Path, port: int) -> str:
    """Run a command in `folder` against a server on `port`, and return what it prints."""
    text = text.replace(ADDRESS, f"127.0.0.1:{port}")
    text = text.replace(".venv/bin", str(Path(sys.executable).parent))
    done = subprocess.run(
        ["bash", "-c", _IN_A_SHELL.format(text)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,  # one command trains a model
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(f"127.0.0.1:{port}", ADDRESS).rstrip("\n")


def as_a_clone(folder: Path) -> Path:
    """Add the data and the code of a clone to a folder, and return the folder."""
    folder.mkdir(exist_ok=True)
    for name in ("data", "service"):
        if not (here := folder / name).exists():
            here.symlink_to(ROOT / name)
    return folder


def updated(document: str, folder: Path, port: int) -> str:
    """Return the document with current outputs below its commands."""

    def command(found: re.Match[str]) -> str:
        output = run(found[1], folder, port)
        return f"$ {found[1]}\n" + (f"{output}\n" if output else "")

    text = (ROOT / document).read_text()
    return _BLOCK.sub(lambda block: _COMMAND.sub(command, block[0]), text)


def update() -> None:
    """Write the current outputs into all documents."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as running:
        for document in DOCUMENTS:
            here = as_a_clone(Path(folder) / Path(document).name)
            (ROOT / document).write_text(updated(document, here, running.servers[0].port))


if __name__ == "__main__":
    update()
