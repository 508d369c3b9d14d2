"""Training: what GPy models are taken over, what data are refused, and the commands."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import GPy
import numpy as np
import pytest
from click.testing import CliRunner, Result

from service.__main__ import BUNDLED_DATA, BUNDLED_MODEL, main
from service.gpr import GPR
from service.training import created_now, fit
from service.trainingdata import TrainingDataError, read_training_data
from tests.model import oracle


def run(*arguments: object, ask: str = "") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=ask)


def table(path: Path, n: int = 60, seed: int = 0) -> Path:
    X, y = oracle.data(n, 2, seed)
    rows = [f"{a},{i},{b},{c}" for i, (a, b, c) in enumerate(np.hstack([X, y]).tolist())]
    path.write_text("\n".join(["a,number,b,y", *rows]) + "\n")
    return path


UNSERVED: dict[str, Callable[[], Any]] = {
    "Exponential": lambda: GPy.kern.Exponential(2),
    "RatQuad": lambda: GPy.kern.RatQuad(2),
    "Linear": lambda: GPy.kern.RBF(2) + GPy.kern.Linear(2),
    "Prod": lambda: GPy.kern.RBF(2) * GPy.kern.Bias(2),
    "StdPeriodic": lambda: GPy.kern.StdPeriodic(2),
}


@pytest.mark.parametrize("name", UNSERVED)
def test_other_kernels_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.* is not served"):
        GPR.from_gpy(oracle.regression(10, 2, UNSERVED[name]()), ["a", "b"])


def test_other_models_are_refused_with_the_reason() -> None:
    X, y = oracle.data(20, 2)
    k = GPy.kern.RBF(2)
    mean = GPy.mappings.Linear(2, 1)
    unserved = {
        "mean function": GPy.models.GPRegression(X, y, k.copy(), mean_function=mean),
        "more than one output": GPy.models.GPRegression(X, np.hstack([y, y]), k.copy()),
        "not Gaussian": GPy.models.GPClassification(X, (y > 0).astype(float), k.copy()),
    }
    for reason, m in unserved.items():
        with pytest.raises(ValueError, match=reason):
            GPR.from_gpy(m, ["a", "b"])


def test_fit_through_the_model() -> None:
    X, y = oracle.data(40, 2)
    model = GPR(2, "Matern52 + White", output_name="z")
    assert not model.trained
    model.fit(X, y[:, 0])
    assert model.trained
    assert model.description.feature_names == ("x1", "x2")
    assert model.description.kernel == "Matern52 + White"
    mean, variance = model.predict(X).T
    assert np.sqrt(np.mean((mean - y[:, 0]) ** 2)) < 0.15
    assert np.all(variance > 0)
    assert GPR(2, GPy.kern.Matern32(2)).fit(X, y[:, 0]).description.kernel == "Matern32"
    with pytest.raises(ValueError, match="no kernel is called 'Cubic'"):
        GPR(2, "RBF + Cubic").fit(X, y[:, 0])


def test_training_is_repeatable_and_leaves_the_generator_alone() -> None:
    X, y = oracle.data(60, 2)
    np.random.seed(5)
    wanted = np.random.rand()
    np.random.seed(5)
    one = GPR.from_posterior(fit(X, y[:, 0], restarts=3))
    assert np.random.rand() == wanted
    two = GPR.from_posterior(fit(X, y[:, 0], restarts=3))
    assert np.array_equal(one.predict(X), two.predict(X))


def test_many_rows_need_inducing_inputs() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (5100, 2))
    y = np.sin(X.sum(axis=1)) + 0.1 * rng.standard_normal(5100)
    with pytest.raises(ValueError, match="--inducing"):
        fit(X, y)
    model = GPR.from_posterior(fit(X, y, inducing=20, restarts=1))
    p = model.posterior
    assert (len(p.X), p.training_points, len(model.samples(X[:4], 2, 0))) == (20, 5100, 2)
    assert np.sqrt(np.mean((model.predict(X)[:, 0] - np.sin(X.sum(axis=1))) ** 2)) < 0.1


def test_constant_input() -> None:
    X, y = oracle.data(30, 2)
    X[:, 1] = 3
    with pytest.raises(ValueError, match="input 'x2' is constant"):
        fit(X, y[:, 0])


def test_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert created_now() == "1970-01-01T00:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert created_now().endswith("+00:00")


GOOD = "\n".join(f"{i},{i % 7},{i % 5}" for i in range(30)) + "\n"
BAD_DATA = {
    "no rows": ("", "line 1"),
    "header only": ("a,b,y\n", "0 rows are too few"),
    "few rows": ("a,b,y\n1,2,3\n2,3,4\n", "2 rows are too few"),
    "letters": ("a,b,y\n1,2,3\n1,x,3\n" + GOOD, "line 3: b is not a number: 'x'"),
    "NaN": ("a,b,y\n1,2,nan\n" + GOOD, "line 2: y is not finite"),
    "infinity": ("a,b,y\n1,1e999,1\n" + GOOD, "line 2: b is not finite"),
    "empty cell": ("a,b,y\n1,,1\n" + GOOD, "line 2: b is not a number: ''"),
    "ragged": ("a,b,y\n1,2\n" + GOOD, "line 2: 2 cells, not 3"),
    "constant output": ("a,b,y\n" + "1,2,3\n" * 30, "'y' is constant"),
    "no target": ("a,b,z\n" + GOOD, "column 'y' is missing; columns: a, b, z"),
    "target twice": ("a,y,y\n" + GOOD, "column 'y' is there twice"),
    "target only": ("y\n" + "1\n" * 30, "no input column"),
    "semicolons": ("a;b;y\n" + GOOD.replace(",", ";"), "column 'y' is missing"),
    "many reasons": ("a,b,y\n" + "x,1,1\n" * 15 + GOOD, "and 5 more"),
}


@pytest.mark.parametrize("what", BAD_DATA)
def test_data_that_cannot_train(what: str, tmp_path: Path) -> None:
    text, reason = BAD_DATA[what]
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(TrainingDataError, match="line 1" if what == "no rows" else "."):
        read_training_data(path, "y")
    done = run("train", path, "--target", "y")
    assert done.exit_code == 1
    assert reason in done.output


def test_data_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("a,b,y\n1,2,3\n".encode("utf-16"))
    with pytest.raises(TrainingDataError, match="not UTF-8"):
        read_training_data(path, "y")


def test_train_and_predict_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    data, files = table(tmp_path / "data.csv"), [tmp_path / "one.npz", tmp_path / "two.npz"]
    for file in files:
        done = run(
            "train", data, "--target", "y", "--features", "b, a", "--kernel", "Matern32",
            "--no-ard", "--restarts", "2", "--out", file,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "RMSE" in done.output
        assert "95 % coverage" in done.output
    assert files[0].read_bytes() == files[1].read_bytes()
    model = GPR.load(files[0])
    assert model.description.feature_names == ("b", "a")
    assert model.description.output_name == "y"
    assert model.description.name == "data"
    assert set(model.description.scores) > {"rmse", "log_predictive_density", "coverage_95"}
    assert model.description.scores["held_out_rows"] == 12
    assert len(model.posterior.kernel.stationary[0].lengthscale) == 1

    done = run("predict", data, "--model", files[0])
    assert done.exit_code == 0, done.output
    lines = done.stdout_bytes.decode().splitlines()
    assert lines[0] == "a,number,b,y,mean,variance"
    cells = np.array([line.split(",") for line in lines[1:]], dtype=float)
    assert np.array_equal(cells[:, -2:], model.predict(np.ascontiguousarray(cells[:, [2, 0]])))


def test_predict_in_chunks_equals_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GPR.load(BUNDLED_MODEL)
    low, high = model.description.training_range.T
    X = np.random.default_rng(0).uniform(low, high, (600, 4))
    points, out = tmp_path / "points.csv", tmp_path / "out.csv"
    np.savetxt(points, X, delimiter=",", fmt="%.17g")
    monkeypatch.setattr("service.tableprediction.CHUNK_TILES", 1)
    assert run("predict", points, "--out", out).exit_code == 0
    answers = np.loadtxt(out, delimiter=",", skiprows=1)
    assert np.array_equal(answers[:, :4], X)
    assert np.array_equal(answers[:, 4:], model.predict(X))


BAD_POINTS = {
    "empty": ("", "line 1: the table is empty"),
    "missing column": ("lat,long,depth\n1,2,3\n", "line 1: the header lacks stations"),
    "letters": ("lat,long,depth,stations\n1,2,3,x\n", "line 2: stations is not a number"),
    "NaN": ("1,2,3,4\n1,2,nan,4\n", "line 2: depth is not a finite number"),
    "short row": ("lat,long,depth,stations\n1,2,3\n", "line 2: 3 cells, the table has 4 columns"),
}


@pytest.mark.parametrize("what", BAD_POINTS)
def test_points_that_cannot_be_predicted(what: str) -> None:
    text, reason = BAD_POINTS[what]
    done = run("predict", "-", ask=text)
    assert done.exit_code == 1
    assert reason in done.output


def test_target_must_be_named(tmp_path: Path) -> None:
    done = run("train", table(tmp_path / "data.csv"))
    assert done.exit_code == 2
    assert "--target" in done.output


def test_bundled_model_is_of_the_bundled_data() -> None:
    model, data = GPR.load(BUNDLED_MODEL), read_training_data(BUNDLED_DATA, "mag")
    assert model.posterior.data_sha256 == data.sha256
    assert model.description.feature_names == data.feature_names
    error = model.predict(data.X)[:, 0] - data.y
    assert np.sqrt(np.mean(error**2)) < 0.5 * np.std(data.y)
    assert 0.88 < model.description.scores["coverage_95"] < 0.99


class Dangerous:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.__dict__["mark"]),))


def test_convert(tmp_path: Path) -> None:
    m = oracle.regression(30, 2, oracle.kernel("RBF", 2, ard=True), normalizer=True)
    path, out = tmp_path / "model.pkl", tmp_path / "model.npz"
    path.write_bytes(pickle.dumps(m))
    refused = run("convert", path, ask="n\n")
    assert refused.exit_code == 1
    assert "runs whatever program it contains" in refused.output
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
    assert "not a GPy model" in done.output
    path.write_bytes(b"not a pickle")
    done = run("convert", path, "--yes-i-trust-this-file")
    assert done.exit_code == 1
    assert "cannot be unpickled" in done.output
