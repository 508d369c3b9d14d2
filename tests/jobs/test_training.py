"""Training over HTTP: validated, followed, served by every process, and rolled back."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers import plainhttp
from tests.helpers.patience import until
from tests.helpers.stack import TOKEN, Stack

CSV = TOKEN | {"Content-Type": "text/csv"}


def _table(rows: int = 60) -> str:
    rng = np.random.default_rng(3)
    X = rng.uniform(0, 1, (rows, 2))
    y = np.sin(4 * X[:, 0]) + X[:, 1] + 0.05 * rng.normal(size=rows)
    lines = [f"{a:.6f},{b:.6f},{c:.6f}" for (a, b), c in zip(X, y, strict=True)]
    return "\n".join(["left,right,height", *lines]) + "\n"


def test_train_follow_serve_and_go_back(jobs: Stack, http: httpx.Client) -> None:
    before = http.get("/models").json()["current"]
    query: dict[str, Any] = {
        "target": "height",
        "kernel": "Matern52",
        "restarts": 2,
        "name": "hill",
    }
    answer = http.post("/train", params=query, content=_table(), headers=CSV)
    assert answer.status_code == 202, answer.text
    id = answer.json()["jobID"]
    ended = jobs.follow(id, seconds=200)
    assert ended["status"] == "successful", ended
    version = ended["version"]
    result = http.get(f"/jobs/{id}/results", headers=TOKEN).json()
    assert result["version"] == version
    assert result["feature_names"] == ["left", "right"]
    assert result["scores"]["held_out_rows"] == 12
    assert result["scores"]["rmse"] < 0.3

    until(lambda: http.get("/model").json()["version"] == version)
    assert http.get("/model").json()["name"] == "hill"
    assert http.get("/predict?left=0.5&right=0.5").headers["X-Model-Version"] == version
    listed = {model["version"]: model for model in http.get("/models").json()["models"]}
    assert listed[version]["current"]
    assert not listed[before]["current"]
    assert http.post(f"/models/{before}/activate", headers=TOKEN).status_code == 200
    until(lambda: http.get("/model").json()["version"] == before)
    # A job keeps the version that was current when it was accepted.
    points = {"points": [-20, 181, 500, 30]}
    job = http.post("/predict", json=points, headers={"Prefer": "respond-async"}).json()["jobID"]
    http.post(f"/models/{version}/activate", headers=TOKEN)
    jobs.follow(job)
    assert http.get(f"/jobs/{job}/results").headers["X-Model-Version"] == before
    http.post(f"/models/{before}/activate", headers=TOKEN)
    until(lambda: http.get("/model").json()["version"] == before)


def test_train_from_json_without_activating(jobs: Stack, http: httpx.Client) -> None:
    before = http.get("/models").json()["current"]
    rows = [[float(c) for c in line.split(",")] for line in _table().split()[1:]]
    body = {"inputs": [row[:2] for row in rows], "output": [row[2] for row in rows]}
    options = {"restarts": 1, "activate": False}
    answer = http.post("/train", json=body | options, headers=TOKEN)
    assert answer.status_code == 202, answer.text
    ended = jobs.follow(answer.json()["jobID"], seconds=200)
    assert ended["status"] == "successful", ended
    result = http.get(f"/jobs/{ended['jobID']}/results", headers=TOKEN).json()
    assert (result["feature_names"], result["output_name"]) == (["x1", "x2"], "y")
    assert http.get("/models").json()["current"] == before


def test_a_model_that_is_clearly_worse_is_stored_but_not_served(
    jobs: Stack, http: httpx.Client
) -> None:
    before = http.get("/models").json()["current"]
    query: dict[str, Any] = {"target": "slope", "restarts": 1}
    good = _train(jobs, http, query, _table().replace("height", "slope"))
    assert "Good: the 95 % interval contains" in good["message"]
    until(lambda: http.get("/model").json()["version"] == good["version"])

    header, *rows = _table().replace("height", "slope").splitlines()
    inputs = [row.rpartition(",")[0] for row in rows]
    shuffled = [f"{x},{row.split(',')[2]}" for x, row in zip(inputs, rows[::-1], strict=True)]
    useless = "\n".join([header, *shuffled]) + "\n"
    bad = _train(jobs, http, query, useless)
    # helm/gpserve/files/retrain.py looks for "not activated".
    assert "It is stored, but not activated, because it is clearly worse: its" in bad["message"]
    assert f"POST /models/{bad['version']}/activate?force=true" in bad["message"]
    listed = {model["version"]: model for model in http.get("/models").json()["models"]}
    assert listed[good["version"]]["current"]
    assert "no_better_than_the_mean" in listed[bad["version"]]["scores"]["faults"]
    forced = _train(jobs, http, query | {"force": "true"}, useless)
    assert "clearly worse" not in forced["message"]
    until(lambda: http.get("/model").json()["version"] == forced["version"])
    assert http.post(f"/models/{before}/activate", headers=TOKEN).status_code == 200
    until(lambda: http.get("/model").json()["version"] == before)


def _train(jobs: Stack, http: httpx.Client, query: dict[str, Any], table: str) -> dict[str, Any]:
    """Train to the end, and return the job."""
    answer = http.post("/train", params=query, content=table, headers=CSV)
    assert answer.status_code == 202, answer.text
    return jobs.follow(answer.json()["jobID"], seconds=200)


@pytest.mark.parametrize(
    ("table", "query", "status", "reason"),
    [
        ("left,height\n1,2\n", {}, 422, "too few rows: 1; at least 10 are required"),
        ("", {}, 422, "the table is empty"),
        ("y\n1\n", {}, 422, "no input column"),
        (_table().replace("\n0.", "\nnan.", 1), {}, 422, "line 2: left is not a number"),
        (
            _table() + "nan,1,2\n1,inf,x\n",
            {},
            422,
            "line 62: left is missing: 'nan'; line 63",
        ),
        (_table(), {"target": "depth"}, 422, "column 'depth' is missing"),
        (_table(), {"features": "left,height"}, 422, "'height' is named twice"),
        (_table(), {"kernel": "Cubic"}, 422, "unknown kernel 'Cubic'"),
        (_table(), {"kernel": "+".join("1" * 1500)}, 422, "has 2999 characters, more than 500"),
        (_table(), {"kernel": "+".join("1" * 250)}, 422, "has 250 functions, more than 10"),
        (_table(40), {"held_out": "0.9"}, 422, "4 of 40 rows are left to train on"),
        (_table(), {"mean": "linear", "inducing": "9"}, 422, "leave out mean=linear (--mean lin"),
        (
            _table(),
            {"noise_column": "left", "inducing": "9"},
            422,
            "leave out `noise_column` (--noise-column) or `inducing`",
        ),
        (_table(), {"restarts": "many"}, 422, "restarts"),
        (_table(), {"restarts": "0"}, 422, "restarts"),
        (_table(), {"colour": "red"}, 422, "colour"),
        (_table(8000), {}, 422, "too many for an exact GP"),
        ("a,b\n" + "1,2\n" * 30, {}, 422, "the output 'b' is constant"),
        ("a,b\n" + "".join(f"1,{i}\n" for i in range(30)), {}, 422, "is constant"),
        (_table(), {"name": "../hill"}, 422, "would be read as a folder"),
        (_table(), {"name": "a\0b"}, 422, "cannot be printed"),
        ("noise,b\n" + "".join(f"{i},{i}\n" for i in range(30)), {}, 422, "noise"),
    ],
)
def test_unusable_training_data_are_rejected_at_once(
    http: httpx.Client, table: str, query: dict[str, Any], status: int, reason: str
) -> None:
    answer = http.post("/train", params=query, content=table, headers=CSV)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([1, 2], "$"),
        ({"data": []}, "$.data"),
        ({"data": {"a": [1, 2], "b": [1, "x"]}}, "$.data.b[1]"),
        ({"data": {"a": [1, 2], "b": [1, [2]]}}, "$.data.b[1]"),
        ({"data": {"a": [1, 2], "b": [1]}}, "$"),
        ({"inputs": 5, "output": [1]}, "$.inputs"),
        ({"inputs": [[1, 2], [3]], "output": [1, 2]}, "$.inputs[1]"),
        ({"inputs": [[1, 2], [3, None]], "output": [1, 2]}, "$.inputs[1][1]"),
        ({"inputs": {"a": [1, True]}, "output": [1, 2]}, "$.inputs.a[1]"),
        ({"inputs": [[1], [2]], "output": [1, "two"]}, "$.output[1]"),
        ({"inputs": {"y": [1, 2]}, "output": [1, 2]}, "$.target"),
    ],
)
def test_json_that_is_not_a_table_is_rejected_with_its_path(
    http: httpx.Client, body: Any, path: str
) -> None:
    answer = http.post("/train", json=body, headers=TOKEN)
    assert answer.status_code == 422, answer.text
    assert answer.json()["path"] == path


def test_training_requires_the_token(http: httpx.Client) -> None:
    csv = {"Content-Type": "text/csv"}
    assert http.post("/train", content=_table(), headers=csv).status_code == 401


def test_a_running_training_is_cancelled(jobs: Stack, http: httpx.Client) -> None:
    query: dict[str, Any] = {"target": "height", "restarts": 100}
    id = http.post("/train", params=query, content=_table(600), headers=CSV).json()["jobID"]
    until(lambda: "fitting" in http.get(f"/jobs/{id}", headers=TOKEN).json()["message"])
    assert http.delete(f"/jobs/{id}", headers=TOKEN).json()["status"] == "dismissed"
    binds = [worker.environ["GPSERVE_WORKER_BIND"] for worker in jobs.workers]
    until(
        lambda: all("worker_busy 0.0" in plainhttp.get(f"http://{b}/metrics").text for b in binds)
    )
    assert http.get(f"/jobs/{id}", headers=TOKEN).json()["status"] == "dismissed"


def test_train_on_words_and_missing_cells(jobs: Stack, http: httpx.Client) -> None:
    rows = [[float(c) for c in line.split(",")] for line in _table().split()[1:]]
    woods = ["ash", "elm", "oak"]
    data = {
        "wood": [woods[i % 3] for i in range(59)] + [None],
        "left": [row[0] for row in rows],
        "height": [row[2] + i % 3 for i, row in enumerate(rows)],
    }
    options = {"target": "height", "restarts": 1, "activate": False, "drop_missing": True}
    refused = http.post("/train", json={"data": data} | options, headers=TOKEN)
    assert refused.json()["detail"].startswith("too few rows: 0 of 60 have every cell")
    body = {"data": data, "categorical": ["wood"]} | options
    answer = http.post("/train", json=body, headers=TOKEN)
    assert answer.status_code == 202, answer.text
    ended = jobs.follow(answer.json()["jobID"], seconds=200)
    assert ended["status"] == "successful", ended
    result = http.get(f"/jobs/{ended['jobID']}/results", headers=TOKEN).json()
    assert result["categories"] == {"wood": woods}
    assert result["training_range"]["wood"] == [0, 2]
    assert result["scores"]["rmse"] < 0.5
