"""Run the code on the clients' pages: each page is one script, with its output in ``text`` blocks.

`python -m tests.docs.scripts` runs all of them and updates the outputs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.docs.commands import ADDRESS, as_a_clone
from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import ROOT
from tests.helpers.stack import stack

_MARK = "~~~"
_BLOCK = re.compile(r"```(\w+)\n(.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Language:
    """How to run a page's code, and the code that prints a mark between two outputs."""

    page: str
    fence: str
    program: str
    arguments: tuple[str, ...]
    suffix: str
    mark: str

    @property
    def installed(self) -> bool:
        return shutil.which(self.program) is not None


LANGUAGES = (
    Language("python", "python", sys.executable, (), ".py", f"print('{_MARK}')"),
    Language("javascript", "javascript", "node", (), ".mjs", f"console.log('{_MARK}')"),
    Language("r", "r", "Rscript", (), ".R", f"cat('{_MARK}\\n')"),
    Language("matlab", "matlab", "octave-cli", ("--quiet",), ".m", f"disp('{_MARK}')"),
)


def path(language: Language) -> Path:
    return ROOT / "docs" / "clients" / f"{language.page}.md"


def shown(language: Language) -> list[str]:
    """Return the outputs that the page shows."""
    return [
        body.strip() for kind, body in _BLOCK.findall(path(language).read_text()) if kind == "text"
    ]


def run(language: Language, folder: Path, port: int) -> list[str]:
    """Run the page's code, and return its output split at the page's ``text`` blocks."""
    parts = []
    for kind, body in _BLOCK.findall(path(language).read_text()):
        if kind == language.fence:
            parts.append(body)
        elif kind == "text":
            parts.append(language.mark + "\n")
    script = as_a_clone(folder) / f"page{language.suffix}"
    script.write_text("\n".join(parts).replace(ADDRESS, f"127.0.0.1:{port}"))
    done = subprocess.run(
        [language.program, *language.arguments, str(script)],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,  # a whole page, which trains a model
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [part.strip() for part in done.stdout.split(_MARK)[:-1]]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "client")}


def update() -> None:
    """Write the current outputs below the code."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as running:
        port = running.servers[0].port
        for language in LANGUAGES:
            if not language.installed:
                print(f"{language.page}: {language.program} is not installed")
                continue
            outputs = iter(run(language, Path(folder), port))
            text = _BLOCK.sub(
                lambda block: (
                    f"```text\n{next(outputs)}\n```\n"  # noqa: B023
                    if block[1] == "text"
                    else block[0]
                ),
                path(language).read_text(),
            )
            path(language).write_text(text)


if __name__ == "__main__":
    update()
