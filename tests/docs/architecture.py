"""The tree in docs/architecture.md: each file with the first line of its documentation.

`python -m tests.docs.architecture` updates it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.serving import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
SERVICE = ROOT / "service"
BEGIN, END = "<!-- tree -->\n```text\n", "```\n<!-- end of tree -->\n"

_OTHERS = {
    "page": "The web page, which pages.py serves.",
    "icon.svg": "The icon.",
    "index.html": "The elements.",
    "page.css": "Colours and layout.",
    "supervisord.conf": "The processes and when to restart them.",
    "pretrained.npz": "The bundled model.",
    "triangle.c": "The compiled kernel: covariances, and products with a triangle.",
}
"""Descriptions of files that are neither Python nor JavaScript."""

_WIDTH = 24


def entries(folder: Path = SERVICE, depth: int = 1) -> Iterator[tuple[int, str, str]]:
    """Yield each file and folder with its depth and purpose; a package's is in `__init__.py`."""
    found = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    for path in found:
        if path.name.startswith((".", "__init__", "__pycache__")):
            continue
        if path.is_dir():
            yield depth, f"{path.name}/", purpose(path / "__init__.py")
            yield from entries(path, depth + 1)
        else:
            yield depth, path.name, purpose(path)


def purpose(path: Path) -> str:
    """Return the first line of a file's documentation."""
    if path.suffix == ".py" and path.exists():
        return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    if path.suffix == ".js":
        return path.read_text().partition("\n")[0].removeprefix("// ")
    name = path.parent.name if path.name == "__init__.py" else path.name
    return _OTHERS[name]


def tree() -> str:
    """Return the whole tree, with one line per file."""
    lines = ["service/"]
    for depth, name, text in entries():
        lines.append(f"{'  ' * depth}{name}".ljust(_WIDTH) + text)
    return "\n".join(lines) + "\n"


def section(title: str) -> str:
    """Return the section of the document whose title begins like this."""
    found = re.search(rf"^#+ {re.escape(title)}.*?(?=^#|\Z)", text(), re.MULTILINE | re.DOTALL)
    assert found, title
    return found[0]


def text() -> str:
    return DOCUMENT.read_text()


def update() -> None:
    """Write the current tree into the document."""
    before, rest = text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + tree() + END + after)


if __name__ == "__main__":
    update()
