"""`train` and `predict`: from a table to a model file, and from points to answers."""

from __future__ import annotations

import gzip
from pathlib import Path

import click
import numpy as np
import pytest

from service.__main__ import main
from service.commands.options import BUNDLED_MODEL
from service.gpr import GPR
from tests.commands.commandline import run
from tests.gpr import oracle


def table(path: Path, n: int = 60, seed: int = 0) -> Path:
    X, y = oracle.data(n, 2, seed)
    rows = [f"{a},{i},{b},{c}" for i, (a, b, c) in enumerate(np.hstack([X, y]).tolist())]
    path.write_text("\n".join(["a,number,b,y", *rows]) + "\n")
    return path


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
    assert len(model.description.hyperparameters["Matern32"]["lengthscale"]) == 1

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
    monkeypatch.setattr("service.commands.predicting.CHUNK_TILES", 1)
    assert run("predict", points, "--out", out).exit_code == 0
    answers = np.loadtxt(out, delimiter=",", skiprows=1)
    assert np.array_equal(answers[:, :4], X)
    assert np.array_equal(answers[:, 4:], model.predict(X))


BAD_POINTS = {
    "empty": ("", "line 1: the table is empty"),
    "missing column": ("lat,long,depth\n1,2,3\n", "line 1: missing columns stations"),
    "letters": ("lat,long,depth,stations\n1,2,3,x\n", "line 2: stations is not a number"),
    "NaN": ("1,2,3,4\n1,2,nan,4\n", "line 2: depth is missing: 'nan'"),
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


WRONG_OPTIONS = {
    "many restarts": (("--restarts", 101), 2, "Error: --restarts must be at most 100"),
    "no restart": (("--restarts", 0), 2, "Error: --restarts must be at least 1"),
    "all held out": (("--held-out", 1), 2, "Error: --held-out must be at most 0.9"),
    "none held out": (("--held-out", 0), 2, "Error: --held-out must be at least 0.01"),
    "NaN held out": (("--held-out", "nan"), 2, "Error: --held-out must be at least 0.01"),
    "many inputs": (("--inducing", 5001), 2, "Error: --inducing must be at most 5000"),
    "fewer than none": (("--inducing", -1), 2, "Error: --inducing must be at least 0"),
    "a long name": (("--name", "a" * 81), 2, "Error: --name must have at most 80 characters"),
    "few rows": (("--held-out", 0.9), 1, "Error: 4 of 40 rows are left to train on; at least 5"),
    "a kernel": (("--kernel", "foo"), 1, "Error: unknown kernel 'foo'"),
    "a sum": (("--kernel", "+".join("1" * 1500)), 1, "Error: the kernel has 2999 characters"),
    "a sparse mean": (
        ("--mean", "linear", "--inducing", 9),
        1,
        "leave out mean=linear (--mean linear) or `inducing` (--inducing)",
    ),
    "sparse noise": (
        ("--noise-column", "number", "--inducing", 9),
        1,
        "leave out `noise_column` (--noise-column) or `inducing` (--inducing)",
    ),
}


@pytest.mark.parametrize("what", WRONG_OPTIONS)
def test_what_cannot_be_trained_is_said_before_the_fit(tmp_path: Path, what: str) -> None:
    given, code, reason = WRONG_OPTIONS[what]
    done = run("train", table(tmp_path / "data.csv", 40), "--target", "y", *given)
    assert done.exit_code == code, done.output
    assert reason in done.output.splitlines()[-1]
    assert "fitting" not in done.output


def test_every_option_says_what_it_is_for() -> None:
    for name, command in main.commands.items():
        for each in command.params:
            assert not isinstance(each, click.Option) or each.help, f"{name} {each.opts[0]}"


def test_a_gzipped_table_is_read(tmp_path: Path) -> None:
    data = table(tmp_path / "data.csv")
    packed = tmp_path / "data.csv.gz"
    packed.write_bytes(gzip.compress(data.read_bytes()))
    model = tmp_path / "model.npz"
    assert run("train", packed, "--target", "y", "--restarts", "1", "--out", model).exit_code == 0
    assert GPR.load(model).description.name == "data"
    plain = run("predict", data, "--model", model)
    assert plain.exit_code == 0
    assert run("predict", packed, "--model", model).stdout_bytes == plain.stdout_bytes


def test_a_folder_that_is_not_there_is_refused_before_the_work(tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "model.npz"
    done = run("train", table(tmp_path / "data.csv"), "--target", "y", "--out", out)
    assert done.exit_code == 2
    assert f"{out}: the folder {out.parent} does not exist" in done.output


def test_a_table_is_no_model(tmp_path: Path) -> None:
    data = table(tmp_path / "data.csv")
    done = run("predict", data, "--model", data)
    assert done.exit_code == 1
    assert "not an .npz model file, or truncated: not a zip archive" in done.output
