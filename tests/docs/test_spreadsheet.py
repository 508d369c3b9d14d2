"""The formulas in docs/clients/spreadsheet.md give the service's numbers in LibreOffice."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from service.gpr import GPR
from tests.docs.commands import ADDRESS
from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import ROOT, Server

PYTHON = "/usr/bin/python3"
"""Debian's Python, for which LibreOffice's `uno` is installed."""


def formulas() -> list[str]:
    """Return the page's formulas."""
    page = (ROOT / "docs" / "clients" / "spreadsheet.md").read_text()
    return re.findall(r"^\| [A-Z].*? \| `(=.*)` \|$", page, re.MULTILINE)


def in_the_api(formula: str) -> str:
    """Return the formula as LibreOffice's API takes it: with semicolons, but not within texts."""
    parts = formula.split('"')
    return '"'.join(part if i % 2 else part.replace(",", ";") for i, part in enumerate(parts))


def in_column_g(formula: str) -> str:
    """Return what a spreadsheet makes of a formula of F when it is copied to G."""
    return re.sub(r"\bF\$1", "G$1", formula)


def test_formulas(server: Server, gpr: GPR, tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None or subprocess.run([PYTHON, "-c", "import uno"], check=False).returncode:
        pytest.skip("the formulas need LibreOffice: apt install libreoffice-calc-nogui python3-uno")
    ask, number = map(in_the_api, formulas())
    point = [-20, 181.5, 500, 30]
    cells = {cell: str(x) for cell, x in zip(("A2", "B2", "C2", "D2"), point, strict=True)}
    cells |= {"F1": "mean", "G1": "variance"}
    cells |= {"E2": ask.replace(ADDRESS, f"127.0.0.1:{server.port}")}
    cells |= {"F2": number, "G2": in_column_g(number)}
    pipe = tmp_path.name
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    accept = f"--accept=pipe,name={pipe};urp;"
    with subprocess.Popen(
        [office, "--headless", profile, accept], stderr=subprocess.DEVNULL
    ) as calc:
        try:
            done = subprocess.run(
                [PYTHON, ROOT / "tests" / "docs" / "calc.py", pipe, json.dumps(cells)],
                capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
            )  # fmt: skip
        finally:
            calc.terminate()
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    np.testing.assert_allclose([shown["F2"], shown["G2"]], gpr.predict(np.array([point]))[0], 1e-13)
