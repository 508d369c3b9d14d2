"""`diagnose`: scores, verdict and a picture of a model file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.commands.options import BUNDLED_MODEL
from service.gpr import GPR
from service.gpr.kernels import RBF
from tests.commands.commandline import run
from tests.gpr import oracle


def test_scores_verdict_and_picture(tmp_path: Path) -> None:
    out = tmp_path / "quakes.png"
    done = run("diagnose", BUNDLED_MODEL, "--out", out)
    assert done.exit_code == 0, done.output
    assert "RMSE" in done.output
    assert "0.1854" in done.output
    assert "Good: the 95 % interval contains 95 % of the 800 left-out rows" in done.output
    picture = Image.open(out)
    assert picture.format == "PNG"
    assert picture.size == (1500, 1000)
    assert len(np.unique(np.asarray(picture.convert("L")))) > 50


def test_names_are_not_formulas_and_the_picture_is_beside_the_file(tmp_path: Path) -> None:
    X, y = oracle.data(20, 2)
    names = ["$", "b_" * 40]
    model = GPR.from_parts(
        X, y[:, 0], kernel=RBF(2), noise_variance=0.1, feature_names=names, output_name="$x_$^"
    )
    model.save(tmp_path / "m.npz")
    done = run("diagnose", tmp_path / "m.npz")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "m.png").exists()


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("diagnose", BUNDLED_MODEL, "--out", tmp_path / "a.pdf")
    assert done.exit_code == 2
    assert "ends in .png" in done.output
    X, y = oracle.data(20, 2)
    sparse = GPR.from_parts(X, y[:, 0], kernel=RBF(2), noise_variance=0.1, inducing_inputs=X[:5])
    sparse.save(tmp_path / "sparse.npz")
    done = run("diagnose", tmp_path / "sparse.npz")
    assert done.exit_code == 1
    assert "no diagnostics: a sparse GP is judged by held-out rows" in done.output
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("diagnose", BUNDLED_MODEL, "--out", tmp_path / "a.png")
    assert done.exit_code == 1
    assert "pip install matplotlib" in done.output
