"""A model that is trained on words answers them, as a file, in a table and over HTTP."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from service.app import create_app
from service.gpr import GPR
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.commands.commandline import run

EFFECT = {"oak": 0.0, "ash": 3.0, "elm": -2.0}


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Write a table whose output depends on a word and a number; one cell is missing."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        wood, age = list(EFFECT)[i % 3], round(rng.uniform(0, 10), 2)
        height = EFFECT[wood] + np.sin(age) + 0.05 * rng.standard_normal()
        rows.append({"id": f"tree {i}", "wood": wood, "age": f"{age}", "height": f"{height:.4f}"})
    rows[7]["age"] = "NA"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return rows


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that was trained on words."""
    folder = tmp_path_factory.mktemp("trees")
    table(folder / "trees.csv")
    done = run(
        "train", folder / "trees.csv", "--target", "height", "--leave-out", "id",
        "--categorical", "wood", "--drop-missing", "--restarts", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "left out           1 rows with missing or unreadable cells" in done.output
    return folder / "trees.npz"


def test_the_words_are_in_the_file(trees: Path) -> None:
    description = GPR.load(trees).description
    assert description.feature_names == ("wood", "age")
    assert description.categories == {"wood": ("ash", "elm", "oak")}
    assert description.scores["rmse"] < 0.3


def test_the_command_answers_words(trees: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "points.csv", ";")
    points, out = tmp_path / "points.csv", tmp_path / "answers.csv"
    done = run("predict", points, "--model", trees, "--on-bad-row", "nan", "--out", out)
    assert done.exit_code == 0, done.output
    answers = list(csv.DictReader(out.read_text().splitlines(), delimiter=";"))
    assert [row["wood"] for row in answers] == [row["wood"] for row in rows]
    error = [float(a["mean"]) - float(a["height"]) for a in answers]
    assert np.isnan(error[7])
    assert np.sqrt(np.nanmean(np.square(error))) < 0.2


def test_the_server_answers_words(trees: Path) -> None:
    http = create_app(Runtime(Settings(model=trees))).test_client()
    point = {"age": 2.5, "wood": "elm"}
    mean = http.post("/predict", json=point).json["mean"]  # type: ignore[index]
    assert mean == pytest.approx(EFFECT["elm"] + np.sin(2.5), abs=0.3)
    gradient = http.post("/predict?gradient=true", json=point).json["gradient"]  # type: ignore[index]
    assert gradient["mean"][0] == gradient["variance"][0] == 0
    refused = http.post("/predict", json={**point, "wood": "fir"})
    assert refused.status_code == 422
    detail = "wood must be one of 'ash', 'elm', 'oak', not 'fir'"
    assert refused.json["detail"] == detail  # type: ignore[index]
    names = [each["name"] for each in http.get("/v2/models/trees").json["inputs"]]  # type: ignore[index]
    assert names == ["wood", "age"]
    call = {"name": "trees-mean", "input": [[1, 2.5]]}
    assert http.post("/Evaluate", json=call).json == {"output": [[mean]]}
    support = http.post("/ModelInfo", json=call).json["support"]  # type: ignore[index]
    assert support["ApplyHessian"]
