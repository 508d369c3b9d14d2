"""A job answers a table as one request does, however the table is written and cut into parts."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Literal

import pytest

from service.jobs.blobs import JobBlobs
from service.jobs.inputs import StoringReader, prediction_spec
from service.jobs.plans import make_plan, write_plan
from service.jobs.results import WrongRows, compute_part, prediction_pieces, result_name
from service.jobs.specs import Prediction
from service.model import FloatArray, Model
from service.services import negotiation, writing
from service.services.errors import Problem
from service.services.features import features_of
from service.services.options import Options
from service.services.prediction import Limits
from service.services.reading import Reader
from service.storage.files import FileBlobs
from tests.helpers.toys import GEARS, Cars

N = 2**40
LIMITS = Limits(N, N)
MODEL = Cars()
KINDS = [negotiation.CSV, negotiation.JSON, negotiation.NPY, negotiation.NDJSON]


def predict(model: Model, X: FloatArray, noise: bool) -> FloatArray:
    return model.predict(X, noise=noise)


def at_once(body: bytes, options: Options, media_type: str) -> bytes:
    reader = Reader(features_of(MODEL), 1024, N, N, N)
    counted = media_type == negotiation.NPY
    source = reader.table(io.BytesIO(body), options, counted=counted)
    return b"".join(writing.pieces(MODEL, source, options, media_type, predict, LIMITS))


def as_job(folder: Path, body: bytes, options: Options, media_type: str, rows: int = 256) -> bytes:
    blobs = JobBlobs(FileBlobs(folder), "1")
    reader = StoringReader(features_of(MODEL), 1024, N, N, N, blobs, [])
    source = reader.table(io.BufferedReader(io.BytesIO(body)), options, counted=False)
    spec = prediction_spec(blobs, source, options, "1", media_type, reader.stored[0])
    plan = make_plan(blobs, spec, MODEL, rows, N)
    assert len(plan.parts) > 1
    write_plan(blobs, plan)
    for part in range(len(plan.parts)):
        assert compute_part(blobs, plan, spec, part, MODEL, predict, LIMITS) >= 256
    return b"".join(prediction_pieces(blobs, spec, media_type))


def table(bad: range, delimiter: str = ",", sign: str = ".") -> bytes:
    text = io.StringIO(f"sep={delimiter}\r\n" if delimiter != "," else "")
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["gear", "weight", "cyl"])
    for i in range(800):
        weight = "NA" if i in bad else str(i / 8).replace(".", sign)
        writer.writerow([GEARS[i % 2], weight, 4 + 2 * (i % 3)])
    return text.getvalue().encode()


@pytest.mark.parametrize("bad", [range(0), range(100, 103), range(200, 600), range(250, 801)])
@pytest.mark.parametrize("media_type", KINDS)
def test_rows_that_are_dropped(tmp_path: Path, bad: range, media_type: str) -> None:
    body, options = table(bad), Options(on_bad_row="drop", columns="wt=weight")
    answer = as_job(tmp_path, body, options, media_type)
    assert answer == at_once(body, options, media_type)
    if media_type == negotiation.CSV:
        kept = 800 - len(set(bad) & set(range(800)))
        assert answer.count(b"\n") == 1 + kept


def test_rows_of_which_none_is_good(tmp_path: Path) -> None:
    options = Options(on_bad_row="drop", columns="wt=weight")
    for read in (at_once, lambda *given: as_job(tmp_path, *given)):
        with pytest.raises(Problem, match="no row can be predicted: line 2: wt is missing: 'NA'"):
            read(table(range(800)), options, negotiation.JSON)


@pytest.mark.parametrize("media_type", KINDS)
def test_semicolons_and_decimal_commas(tmp_path: Path, media_type: str) -> None:
    body, options = table(range(0)), Options(columns="wt=weight")
    written: dict[str, Any] = {"delimiter": ";", "sign": ","}
    answer = as_job(tmp_path, table(range(0), **written), options, media_type)
    assert answer == at_once(table(range(0), **written), options, media_type)
    if media_type != negotiation.CSV:
        assert answer == at_once(body, options, media_type)


@pytest.mark.parametrize("on_bad_row", ["fail", "nan", "drop"])
@pytest.mark.parametrize("media_type", KINDS)
def test_long_rows_which_are_read_in_shorter_chunks(
    tmp_path: Path, media_type: str, on_bad_row: Literal["fail", "nan", "drop"]
) -> None:
    note, bad = "x" * 1500, set() if on_bad_row == "fail" else {0, 300, 1999}
    lines = [f'"{note}","{GEARS[i % 2]}",{"NA" if i in bad else i / 8},4' for i in range(2100)]
    body, options = "\n".join(["note,gear,wt,cyl", *lines]).encode(), Options(on_bad_row=on_bad_row)
    answer = as_job(tmp_path, body, options, media_type, rows=1024)
    assert answer == at_once(body, options, media_type)


@pytest.mark.parametrize("on_bad_row", ["nan", "drop"])
@pytest.mark.parametrize("media_type", KINDS)
def test_numbers_of_other_rows_are_never_answered(
    tmp_path: Path, media_type: str, on_bad_row: Literal["nan", "drop"]
) -> None:
    options = Options(on_bad_row=on_bad_row, columns="wt=weight")
    as_job(tmp_path, table(range(100, 103)), options, media_type)
    blobs = JobBlobs(FileBlobs(tmp_path), "1")
    blobs.write(result_name(1), blobs.read_all(result_name(2)))
    spec = Prediction(version="1", form="table", options=options, media_type=media_type)
    with pytest.raises(WrongRows, match="part 1: 288 rows instead of 256"):
        b"".join(prediction_pieces(blobs, spec, media_type))


def test_an_answer_that_is_sent_again_is_refused_before_the_work(tmp_path: Path) -> None:
    body = b"gear,wt,cyl,mean\n" + b"x,1,4,5\n" * 800
    with pytest.raises(Problem, match="the table has columns 'mean' already"):
        as_job(tmp_path, body, Options(), negotiation.CSV)
