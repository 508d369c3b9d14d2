"""`make lint` enforces the import order of the packages in service/."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.serving import ROOT

BROKEN = {
    "flask in services": ("services/options.py", "import flask", "Flask is imported by"),
    "runtime imports web": (
        "runtime/pool.py",
        "import service.web.headers",
        "Rooms import downwards only",
    ),
    "a circle for the type checker": (
        "model.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import service.runtime.live",
        "Rooms import downwards only",
    ),
    "GPy where models serve": ("gpr/regression.py", "import GPy", "GPy is imported by"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("*.npz"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", BROKEN)
def test_a_forbidden_import_is_reported(what: str, copy: Path) -> None:
    file, line, contract = BROKEN[what]
    path = copy / "service" / file
    path.write_text(path.read_text() + f"\n{line}\n")
    found = lint(copy)
    assert found.returncode == 1, found.stdout
    assert any(text.startswith(contract) and "BROKEN" in text for text in found.stdout.splitlines())


def test_the_current_tree_keeps_the_order() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout
