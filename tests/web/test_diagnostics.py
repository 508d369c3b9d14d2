"""`/model/diagnostics`: how good the model is, as JSON and CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from flask import Flask

from service.app import create_app
from service.gpr import GPR
from service.model import Diagnostics
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.toys import Sum


def test_json(http: httpx.Client, gpr: GPR) -> None:
    answer = http.get("/model/diagnostics")
    assert answer.headers["Content-Type"] == "application/json"
    found, wanted = answer.json(), gpr.diagnostics()
    assert (found["version"], found["output_name"]) == (gpr.description.version, "mag")
    assert found["method"] == "leave_one_out"
    assert found["scores"] == gpr.description.scores == http.get("/model").json()["scores"]
    assert found["coverage"]["nominal"][-2:] == [0.95, 0.99]
    assert found["coverage"]["actual"][-2:] == pytest.approx([0.951, 0.988], abs=6e-4)
    assert found["relevance"] == dict(
        zip(gpr.feature_names, wanted.relevance.tolist(), strict=True)
    )
    first = found["rows"][0]
    assert (first["row"], first["observed"]) == (0, wanted.observed[0])
    assert [first["mean"], first["variance"]] == wanted.answers[0].tolist()
    residual = (first["observed"] - first["mean"]) / first["variance"] ** 0.5
    assert first["standardised_residual"] == pytest.approx(residual)
    assert first["within_95"] == (abs(residual) < 1.96)


def test_the_worst_rows_come_with_their_inputs(http: httpx.Client, gpr: GPR) -> None:
    found = http.get("/model/diagnostics").json()
    largest = [abs(row["standardised_residual"]) for row in found["worst"]]
    assert largest == sorted(abs(r["standardised_residual"]) for r in found["rows"])[:-11:-1]
    worst = found["worst"][0]
    assert list(worst["inputs"].values()) == gpr.diagnostics().X[worst["row"]].tolist()


def test_csv_has_a_row_for_each_training_row(http: httpx.Client, gpr: GPR) -> None:
    answer = http.get("/model/diagnostics", headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == gpr.description.training_points
    assert list(rows[0]) == [
        *("row", "observed", "mean", "variance", "standardised_residual", "within_95"),
        *gpr.feature_names,
    ]
    assert {row["within_95"] for row in rows} == {"true", "false"}
    etags = {answer.headers["ETag"], http.get("/model/diagnostics").headers["ETag"]}
    assert len(etags) == 2
    means = [float(row["mean"]) for row in rows]
    assert means == gpr.diagnostics().answers[:, 0].tolist()


def test_other_types_are_refused(http: httpx.Client) -> None:
    answer = http.get("/model/diagnostics", headers={"Accept": "application/x-npy"})
    assert answer.status_code == 406
    assert answer.json()["offered"] == ["application/json", "text/csv"]


def app_of(model_class: str) -> Flask:
    return create_app(Runtime(Settings(model_class=f"{__name__}:{model_class}")))


def test_a_model_without_diagnostics_says_why() -> None:
    answer = app_of("Sum").test_client().get("/model/diagnostics")
    assert answer.status_code == 404
    assert answer.get_json()["detail"] == "Sum has no diagnostics"


class Counting(Sum):
    """A model of another kind, with diagnostics; it counts how often they are computed."""

    computed = 0

    def diagnostics(self) -> Diagnostics:
        Counting.computed += 1
        observed, answers = np.array([1.0, 9.0]), np.array([[1.5, 1.0], [2.0, 1.0]])
        rows, unknown = np.arange(2), np.zeros((2, 0))
        return Diagnostics("held_out", rows, unknown, observed, answers, np.ones(4))


def test_another_model_and_its_diagnostics_are_computed_once(tmp_path: Path) -> None:
    client = app_of("Counting").test_client()
    for accept in ("*/*", "text/csv"):
        answer = client.get("/model/diagnostics", headers={"Accept": accept})
        assert answer.status_code == 200
    assert answer.text.splitlines()[2] == "1,9.0,2.0,1.0,7.0,false"
    assert Counting.computed == 1
