"""What data are refused, with the line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.gpr.trainingdata import TrainingDataError, read_training_data
from service.jobs.inputs import read_table
from service.jobs.specs import Training
from service.services.errors import Problem
from tests.commands.commandline import run

GOOD = "\n".join(f"{i},{i % 7},{i % 5}" for i in range(30)) + "\n"
BAD_DATA = {
    "no rows": ("", "line 1"),
    "header only": ("a,b,y\n", "too few rows: 0"),
    "few rows": ("a,b,y\n1,2,3\n2,3,4\n", "too few rows: 2"),
    "letters": ("a,b,y\n1,2,3\n1,x,3\n" + GOOD, "line 3: b is not a number: 'x'"),
    "NaN": ("a,b,y\n1,2,nan\n" + GOOD, "line 2: y is not finite"),
    "infinity": ("a,b,y\n1,1e999,1\n" + GOOD, "line 2: b is not finite"),
    "empty cell": ("a,b,y\n1,,1\n" + GOOD, "line 2: b is not a number: ''"),
    "ragged": ("a,b,y\n1,2\n" + GOOD, "line 2: 2 cells, not 3"),
    "constant output": ("a,b,y\n" + "1,2,3\n" * 30, "'y' is constant"),
    "no target": ("a,b,z\n" + GOOD, "column 'y' is missing; columns: a, b, z"),
    "target twice": ("a,y,y\n" + GOOD, "column 'y' appears twice"),
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
        read_training_data(path.read_bytes(), "data.csv", "y")
    done = run("train", path, "--target", "y")
    assert done.exit_code == 1
    assert reason in done.output


@pytest.mark.parametrize("features", [("a", "y"), ("a", "a")])
def test_a_column_with_two_roles(features: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b,y\n" + GOOD)
    with pytest.raises(TrainingDataError, match="named twice among the inputs and the target"):
        read_training_data(path.read_bytes(), "data.csv", "y", features)


def test_data_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("a,b,y\n1,2,3\n".encode("utf-16"))
    with pytest.raises(TrainingDataError, match="not UTF-8"):
        read_training_data(path.read_bytes(), "data.csv", "y")


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "data.csv.gz"
    broken.write_bytes(b"\x1f\x8b no more")
    done = run("train", broken, "--target", "y")
    assert done.exit_code == 1
    assert "data.csv.gz: the body is not valid gzip" in done.output


def test_an_upload_that_looks_gzipped_gets_a_hint() -> None:
    with pytest.raises(Problem, match="looks gzipped: send 'Content-Encoding: gzip'") as refused:
        read_table(b"\x1f\x8b\x08", Training(target="y"))
    assert refused.value.status == 422
