"""docs/architecture.md describes the current tree and imports."""

from __future__ import annotations

import re

import grimp
import pytest

from tests.docs.architecture import SERVICE, section, text, tree

Imports = dict[str, set[str]]
"""Packages and top-level modules of service/, with those that they import."""

TITLE = "Which room may import which"


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.fixture(scope="module")
def imports() -> Imports:
    graph = grimp.build_graph("service", cache_dir=None)
    found: Imports = {room_of(module): set() for module in graph.modules}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            found[room_of(module)].add(room_of(imported))
    del found[""]
    return {room: others - {room, ""} for room, others in found.items()}


def names(cell: str) -> set[str]:
    """Return the packages and modules in a cell of a table."""
    return {name.removesuffix(".py") for name in re.findall(r"`(\w+(?:\.py|(?=/)))/?`", cell)}


def test_the_tree_matches_the_files() -> None:
    assert tree() in text(), "run python -m tests.docs.architecture"


def test_the_files_it_names_exist() -> None:
    named = set(re.findall(r"`((?:\w+/)?\w+\.(?:py|npz))`", text()))
    assert len(named) > 40
    assert [name for name in named if not (SERVICE / name).exists()] == []


def test_the_table_lists_the_imports(imports: Imports) -> None:
    listed: Imports = {}
    for rooms, allowed in re.findall(r"^\| (`.*?) \| (.*) \|$", section(TITLE), re.MULTILINE):
        for room in names(rooms):
            listed[room] = names(allowed)
    assert listed == imports


def test_the_picture_shows_every_import(imports: Imports) -> None:
    picture = text().partition("```mermaid")[2].partition("```")[0]
    arrows: Imports = {room: set() for room in imports}
    for start, end in re.findall(r'(\w+)(?:\["[^"]*"\])? --> (\w+)', picture):
        arrows["__main__" if start == "main" else start].add(end)
    for room, imported in imports.items():
        assert arrows[room] <= imported, room
        assert imported <= reachable(room, arrows), room


def reachable(room: str, arrows: Imports) -> set[str]:
    found = set(arrows[room])
    for other in arrows[room]:
        found |= reachable(other, arrows)
    return found
