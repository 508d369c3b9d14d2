"""`convert`: a pickled GPy model is taken over once its owner trusts it, never before."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from service.gpr import GPR
from tests.commands.commandline import run
from tests.gpr import oracle


class Dangerous:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.__dict__["mark"]),))


def test_convert(tmp_path: Path) -> None:
    m = oracle.regression(30, 2, oracle.kernel("RBF", 2, ard=True), normalizer=True)
    path, out = tmp_path / "model.pkl", tmp_path / "model.npz"
    path.write_bytes(pickle.dumps(m))
    refused = run("convert", path, ask="n\n")
    assert refused.exit_code == 1
    assert "runs any program that it contains" in refused.output
    assert not out.exists()
    done = run("convert", path, "--features", "a,b", "--output", "z", "--yes-i-trust-this-file")
    assert done.exit_code == 0, done.output
    model = GPR.load(out)
    assert model.description.feature_names == ("a", "b")
    oracle.assert_equal_answers(model, m, oracle.data(20, 2, seed=9)[0], noise=True)
    assert run("convert", path, ask="y\n").exit_code == 0
    assert GPR.load(out).description.feature_names == ("x1", "x2")


def test_convert_runs_nothing_before_it_is_trusted(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "model.pkl"
    trap = Dangerous()
    trap.__dict__["mark"] = str(mark)
    path.write_bytes(pickle.dumps(trap))
    assert run("convert", path, ask="n\n").exit_code == 1
    assert not mark.exists()
    done = run("convert", path, "--yes-i-trust-this-file")
    assert "not a model of GPy or scikit-learn" in done.output
    path.write_bytes(b"not a pickle")
    done = run("convert", path, "--yes-i-trust-this-file")
    assert done.exit_code == 1
    assert "cannot be unpickled" in done.output


def test_convert_scikit_learn(tmp_path: Path) -> None:
    X, y = oracle.data(30, 2)
    frame = pd.DataFrame(X, columns=["lat", "long"])
    gpr = GaussianProcessRegressor(ConstantKernel() * Matern() + WhiteKernel(0.1), optimizer=None)
    path, out = tmp_path / "model.pkl", tmp_path / "model.npz"
    path.write_bytes(pickle.dumps(gpr.fit(frame, y[:, 0])))
    done = run("convert", path, "--yes-i-trust-this-file")
    assert done.exit_code == 0, done.output
    assert GPR.load(out).description.feature_names == ("lat", "long")
    run("convert", path, "--features", "a,b", "--yes-i-trust-this-file")
    model = GPR.load(out)
    assert model.description.feature_names == ("a", "b")
    mean, deviation = gpr.predict(frame, return_std=True)
    np.testing.assert_allclose(model.predict(X), np.column_stack([mean, deviation**2]), rtol=1e-9)
    path.write_bytes(pickle.dumps(GaussianProcessRegressor()))
    assert "it is not fitted" in run("convert", path, "--yes-i-trust-this-file").output
