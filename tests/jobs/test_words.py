"""Words on their way through a job: in a stored table, in an array of codes, and in its answer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from service.jobs.blobs import JobBlobs
from service.jobs.inputs import StoringReader, prediction_spec
from service.jobs.plans import make_plan, write_plan
from service.jobs.results import compute_part, prediction_pieces
from service.model import FloatArray, Model
from service.services import negotiation
from service.services.arrays import header_bytes
from service.services.errors import Problem
from service.services.features import features_of
from service.services.options import PLAIN
from service.services.prediction import Limits
from service.storage.files import FileBlobs
from tests.helpers.toys import GEARS, Cars

N = 2**40
LIMITS = Limits(N, N)


def predict(model: Model, X: FloatArray, noise: bool) -> FloatArray:
    return model.predict(X, noise=noise)


def answer(folder: Path, body: bytes, *, table: bool) -> str:
    """The CSV that a job of several parts answers."""
    model, blobs = Cars(), JobBlobs(FileBlobs(folder), "1")
    reader = StoringReader(features_of(model), 1024, N, N, N, blobs, [])
    stream = io.BufferedReader(io.BytesIO(body))
    source = reader.table(stream, PLAIN, counted=False) if table else reader.array(stream)
    form = reader.stored[0]
    spec = prediction_spec(blobs, source, PLAIN, "1", negotiation.CSV, form)
    plan = make_plan(blobs, spec, model, 256, N)
    write_plan(blobs, plan)
    assert len(plan.parts) == 3
    for part in range(len(plan.parts)):
        compute_part(blobs, plan, spec, part, model, predict, LIMITS)
    return b"".join(prediction_pieces(blobs, spec, negotiation.CSV)).decode()


def rows(n: int) -> list[str]:
    return [f'"{GEARS[i % 2]}",{i / 8},{4 + 2 * (i % 3)}' for i in range(n)]


def test_a_table_and_an_array_of_several_parts(tmp_path: Path) -> None:
    lines = rows(800)
    body = "\n".join(["gear,wt,cyl", *lines]).encode()
    said = answer(tmp_path / "table", body, table=True).splitlines()
    assert said[0] == "gear,wt,cyl,mean,variance"
    means = [100 * (i % 2) + i / 8 + 10 * (i % 3) for i in range(800)]
    assert [float(line.split(",")[-2]) for line in said[1:]] == means
    assert said[2].startswith(f'"{GEARS[1]}",0.125,6,')
    codes = np.array([[i % 2, i / 8, i % 3] for i in range(800)], dtype=np.float64)
    again = answer(tmp_path / "array", header_bytes((800, 3)) + codes.tobytes(), table=False)
    assert again.splitlines() == said


@pytest.mark.parametrize("table", [True, False])
def test_a_bad_word_in_the_last_part_has_its_place(tmp_path: Path, table: bool) -> None:
    lines = rows(800)
    if table:
        lines[700] = "stick,1,4"
        body = "\n".join(["gear,wt,cyl", *lines]).encode()
    else:
        codes = np.zeros((800, 3))
        codes[700, 2] = 3
        body = header_bytes((800, 3)) + codes.tobytes()
    with pytest.raises(Problem) as refused:
        answer(tmp_path, body, table=table)
    where = {"line": 702, "column": "gear"} if table else {"row": 700, "feature": "cyl"}
    assert refused.value.where == where
