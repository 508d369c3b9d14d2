"""The code for modellers runs as it is written, and its formulas are right."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.__main__ import main
from service.gpr import GPR
from tests.helpers.serving import ROOT

_BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
_TEXT = (ROOT / "docs" / "modellers.md").read_text()


def _section(title: str) -> str:
    return re.split(r"^## ", _TEXT.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def _run(title: str, names: dict[str, Any]) -> None:
    for language, code in _BLOCK.findall(_section(title)):
        if language == "python":
            exec(code, names)
        else:
            command = shlex.split(code)
            assert command[:3] == ["python", "-m", "service"]
            main(command[3:], standalone_mode=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bundled model, and some rows of its data, so that training is quick."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    rows = (ROOT / "data" / "quakes.csv").read_text().splitlines()[:61]
    (tmp_path / "data" / "quakes.csv").write_text("\n".join(rows) + "\n")
    for name in ("pretrained.npz", "quakes.npz"):
        (tmp_path / name).write_bytes((ROOT / "service" / "pretrained.npz").read_bytes())
    return tmp_path


def test_predictions_in_python(folder: Path, gpr: GPR) -> None:
    names: dict[str, Any] = {}
    _run("Predict in Python", names)
    model, points = names["model"], names["points"]
    np.testing.assert_array_equal(
        np.column_stack([names["mean"], names["variance"]]), gpr.predict(np.array(points))
    )
    for call, returned in re.findall(r"^\| (`model\..*?) \| (.*) \|$", _TEXT, re.MULTILINE)[:4]:
        shapes = re.findall(r"\(([n\dd, ]+)\)", returned)
        for code, shape in zip(re.findall(r"`(.*?)`", call), shapes, strict=True):
            wanted = tuple(eval(shape, {"n": 2, "d": 4}))
            assert eval(code, {"model": model, "points": points}).shape == wanted, code
    assert (folder / "answers.csv").read_text().startswith("lat,long,depth,stations,mag,mean")


def test_the_formulas_of_a_logarithmic_output() -> None:
    """Against integrals over the normal distribution of ln y, by Gauss and Hermite."""
    names: dict[str, Any] = {}
    _run("Predict in Python", names)
    _run("An output on a logarithmic scale", names)
    assert names["model"].description.output_name == "log_stations"
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    m, v = names["m"], names["v"]
    assert (v > 0.01).all()  # or all formulas agree
    y = np.exp(m + np.sqrt(v) * nodes[:, None])
    np.testing.assert_allclose(names["mean"], weights @ y, rtol=1e-9)
    np.testing.assert_allclose(names["variance"], weights @ (y - names["mean"]) ** 2, rtol=1e-9)
    deviations = np.log(np.array([names["lower"], names["median"], names["upper"]])) - m
    wanted = np.outer([-1.96, 0, 1.96], np.sqrt(v))
    np.testing.assert_allclose(deviations, wanted, rtol=1e-9, atol=1e-12)
