"""A categorical feature takes its words in every format, and arrays of numbers take their codes."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from tests.helpers import plainhttp
from tests.helpers.serving import ARTICLE, FLASK_ALONE, serving

MANUAL = "manual, 5 gears"
ROWS = [["automatic", 1.5, "4"], [MANUAL, 2.5, "6"], [MANUAL, 3.0, "8"]]
CODES = np.array([[0, 1.5, 0], [1, 2.5, 1], [1, 3.0, 2]])
MEANS = [1.5, 112.5, 123.0]
NAMES = ("gear", "wt", "cyl")
POINT = dict(zip(NAMES, ROWS[1], strict=True))
CSV = {"Content-Type": "text/csv"}
NPY = {"Content-Type": "application/x-npy"}
INFER = "/v2/models/cars/infer"


@pytest.fixture(scope="module", params=["front", "flask"])
def http(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A server of the toy model with categories; both servers must answer the same."""
    arguments = ARTICLE if request.param == "front" else FLASK_ALONE
    folder, model = tmp_path_factory.mktemp("words"), "tests.helpers.toys:Cars"
    with (
        serving(folder, *arguments, model_class=model) as server,
        plainhttp.Client(base_url=server.url) as client,
    ):
        yield client


def npy(X: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, X)
    return out.getvalue()


def table(rows: list[list[Any]], header: tuple[str, ...] = NAMES, **dialect: Any) -> str:
    out = io.StringIO()
    csv.writer(out, **dialect).writerows([header, *rows] if header else rows)
    return out.getvalue()


def means(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["mean"]


SHAPES: dict[str, tuple[Any, Any]] = {
    "object": (POINT, MEANS[1]),
    "number for its word": ({**POINT, "cyl": 6}, MEANS[1]),
    "decimal for its word": ({**POINT, "cyl": 6.0}, MEANS[1]),
    "columns": (dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True)), MEANS),
    "objects": ([dict(zip(NAMES, row, strict=True)) for row in ROWS], MEANS),
    "rows": ({"points": ROWS}, MEANS),
    "one row": ({"points": ROWS[1]}, MEANS[1]),
    "mesh": ({"points": [[ROWS, ROWS]]}, [[MEANS, MEANS]]),
    "objects among points": ({"points": [POINT], "noise": False}, [MEANS[1]]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_json(http: httpx.Client, shape: str) -> None:
    body, expected = SHAPES[shape]
    assert means(http.post("/predict", json=body)) == expected


def test_query_and_form(http: httpx.Client) -> None:
    pairs = [(name, str(cell)) for row in ROWS for name, cell in zip(NAMES, row, strict=True)]
    assert means(http.get("/predict", params=httpx.QueryParams(tuple(pairs)))) == MEANS
    assert means(http.post("/predict", data={**POINT, "cyl": " 6.0"})) == MEANS[1]


TABLES = {
    "plain": table(ROWS),
    "semicolons": table(ROWS, delimiter=";"),
    "other order and column": table(
        [["a", *row[::-1]] for row in ROWS], ("id", *NAMES[::-1]), lineterminator="\n"
    ),
    "no header": table(ROWS, ()),
    "blanks": table([[f" {a}", b, f"{c} "] for a, b, c in ROWS]),
    "floats": table([[a, b, f"{c}.0"] for a, b, c in ROWS]),
}


@pytest.mark.parametrize("what", TABLES)
def test_tables(http: httpx.Client, what: str) -> None:
    given = TABLES[what]
    assert means(http.post("/predict", content=given, headers=CSV)) == MEANS
    answer = http.post("/predict", content=given, headers={**CSV, "Accept": "text/csv"})
    delimiter = ";" if what == "semicolons" else ","
    rows = list(csv.reader(io.StringIO(answer.text), delimiter=delimiter))
    sent = list(csv.reader(io.StringIO(given), delimiter=delimiter))
    assert [row[:-2] for row in rows[1:]] == (sent if what == "no header" else sent[1:])
    assert [float(row[-2]) for row in rows[1:]] == MEANS


def test_a_table_that_answers_json_or_an_array_has_words(http: httpx.Client) -> None:
    accept = {"Accept": "text/csv"}
    expected = table(
        [[*row, m, 1.0] for row, m in zip(ROWS, MEANS, strict=True)], (), lineterminator="\n"
    )
    answer = http.post("/predict", json={"points": ROWS}, headers=accept)
    assert answer.text == "gear,wt,cyl,mean,variance\n" + expected
    from_array = http.post("/predict", content=npy(CODES), headers=accept | NPY)
    assert from_array.text == answer.text


def test_numbers_are_codes(http: httpx.Client) -> None:
    assert means(http.post("/predict", content=npy(CODES), headers=NPY)) == MEANS
    call = {"name": "cars-mean", "input": [CODES[1].tolist()]}
    assert http.post("/Evaluate", json=call).json() == {"output": [[MEANS[1]]]}
    slope = http.post("/Gradient", json={**call, "outWrt": 0, "inWrt": 0, "sens": [1]})
    assert slope.json() == {"output": [0, 1, 0]}
    tensor = {"name": "x", "shape": [3, 3], "datatype": "FP64", "data": CODES.ravel().tolist()}
    assert http.post(INFER, json={"inputs": [tensor]}).json()["outputs"][0]["data"] == MEANS


def _tensors(**other: dict[str, Any]) -> list[dict[str, Any]]:
    columns = zip(NAMES, zip(*ROWS, strict=True), ("BYTES", "FP64", "BYTES"), strict=True)
    return [
        {"name": name, "shape": [3], "datatype": kind, "data": list(cells)} | other.get(name, {})
        for name, cells, kind in columns
    ]


def test_tensors_of_words(http: httpx.Client) -> None:
    answer = http.post(INFER, json={"inputs": _tensors()})
    assert answer.json()["outputs"][0]["data"] == MEANS
    nested = {"cyl": {"shape": [3, 1], "data": [["4"], ["6"], ["8"]]}}
    codes = {"gear": {"datatype": "FP32", "data": CODES[:, 0].tolist()}}
    answer = http.post(INFER, json={"inputs": _tensors(**nested, **codes)})
    assert answer.json()["outputs"][0]["data"] == MEANS
    described = http.get("/v2/models/cars").json()["inputs"]
    assert [(each["name"], each["datatype"]) for each in described] == [
        ("gear", "BYTES"), ("wt", "FP64"), ("cyl", "BYTES"),
    ]  # fmt: skip


def test_tensors_of_words_as_bytes(http: httpx.Client) -> None:
    words = [str(row[0]).encode() for row in ROWS]
    raw = b"".join(struct.pack("<I", len(word)) + word for word in words)
    inputs = _tensors(gear={"parameters": {"binary_data_size": len(raw)}})
    del inputs[0]["data"]

    def send(raw: bytes) -> httpx.Response:
        head = json.dumps({"inputs": inputs}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        return http.post(INFER, content=head + raw, headers=length)

    assert send(raw).json()["outputs"][0]["data"] == MEANS
    for broken in (b"\xff" + raw[1:], raw[:4] + b"\xff" + raw[5:], raw[4:] + raw[:4]):
        assert send(broken).status_code == 400
        assert "input gear: the bytes are not words" in send(broken).json()["error"]


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "object": (
        {"json": {**POINT, "gear": "none"}},
        {"path": "$.gear", "feature": "gear"},
        "gear must be one of 'automatic', 'manual, 5 gears', not 'none'",
    ),
    "code in JSON": ({"json": {**POINT, "gear": 1}}, {"path": "$.gear"}, "not 1"),
    "all numbers": ({"json": {"gear": 0, "wt": 1, "cyl": 4}}, {"path": "$.gear"}, "not 0"),
    "null": ({"json": {**POINT, "gear": None}}, {"path": "$.gear"}, "not null"),
    "word for a number": ({"json": {**POINT, "wt": "heavy"}}, {"path": "$.wt"}, "not a number"),
    "rows": ({"json": {"points": [ROWS[0], [1, 2, 5]]}}, {"path": "$.points[1][0]"}, "not 1"),
    "short row": ({"json": {"points": [["automatic", 2]]}}, {"path": "$.points[0]"}, "expected 3"),
    "columns": (
        {"json": {"gear": ["automatic"], "wt": [1], "cyl": [5]}},
        {"path": "$.cyl[0]", "feature": "cyl"},
        "cyl must be one of '4', '6', '8', not 5",
    ),
    "objects": ({"json": [POINT, {**POINT, "cyl": "x"}]}, {"path": "$[1].cyl"}, "not 'x'"),
    "query": (
        {"params": [*POINT.items(), *{**POINT, "cyl": "12"}.items()]},
        {"feature": "cyl", "row": 1},
        "not '12'",
    ),
    "table": (
        {"content": table([ROWS[0], ["stick", 1, 4]]), "headers": CSV},
        {"line": 3, "column": "gear"},
        "line 3: gear must be one of 'automatic', 'manual, 5 gears', not 'stick'",
    ),
    "empty cell": (
        {"content": table([["", 1, 4]]), "headers": CSV},
        {"line": 2, "column": "gear"},
        "line 2: gear is empty",
    ),
    "array": (
        {"content": npy([[0, 1, 2], [0, 1, 1.5]]), "headers": NPY},
        {"row": 1, "feature": "cyl"},
        "point 1 of the array: cyl must be the code of a word, "
        "a whole number from 0 ('4') to 2 ('8'), not 1.5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_unknown_word_is_refused_with_its_place(http: httpx.Client, what: str) -> None:
    request, where, reason = WRONG[what]
    answer = http.request("GET" if "params" in request else "POST", "/predict", **request)
    document = answer.json()
    assert answer.status_code == 422, answer.text
    assert document.items() >= where.items(), document
    assert reason in document["detail"]


@pytest.mark.parametrize("code", [-1, 3, 0.5])
def test_protocols_refuse_what_is_no_code(http: httpx.Client, code: float) -> None:
    call = {"name": "cars", "input": [[0, 1, code]]}
    answer = http.post("/Evaluate", json=call)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "InvalidInput"
    assert f"from 0 ('4') to 2 ('8'), not {code:g}" in answer.json()["error"]["message"]
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [0, 1, code]}
    answer = http.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 400
    assert f"not {code:g}" in answer.json()["error"]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (_tensors(cyl={"data": ["4", "5", "8"]}), "point 1: cyl must be one of '4', '6', '8'"),
        (_tensors(cyl={"data": ["4", "6"]}), "2 words do not fill shape [3]"),
        (_tensors(cyl={"data": ["4", "6", 8]}), "input cyl: Expected"),
        (_tensors(wt={"datatype": "BYTES", "data": ["1", "2", "3"]}), "unsupported datatype BYTES"),
    ],
)
def test_tensors_that_are_refused(http: httpx.Client, inputs: Any, reason: str) -> None:
    answer = http.post(INFER, json={"inputs": inputs})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_bad_word_spares_the_other_rows(http: httpx.Client) -> None:
    given = table([ROWS[0], ["stick", 1, 4], ROWS[2]])
    answer = http.post("/predict?on_bad_row=nan", content=given, headers=CSV).json()
    assert answer["mean"] == [MEANS[0], None, MEANS[2]]
    assert "line 3: gear must be one of" in answer["errors"][0]["reason"]


def test_the_model_names_its_words(http: httpx.Client) -> None:
    model = http.get("/model").json()
    assert model["categories"] == {"gear": ["automatic", MANUAL], "cyl": ["4", "6", "8"]}
    document = http.get("/openapi.json").json()
    properties = document["components"]["schemas"]["Point"]["properties"]
    assert properties["gear"] == {"enum": ["automatic", MANUAL]}
    assert properties["cyl"] == {"enum": ["4", "6", "8", 4, 6, 8]}
    assert properties["wt"] == {"type": "number"}
    points = Draft202012Validator({"$ref": "#/components/schemas/Points", **document})
    assert [shape for shape, (body, _) in SHAPES.items() if not points.is_valid(body)] == []
    assert not points.is_valid({**POINT, "gear": "stick"})
    parameters = {each["name"]: each for each in document["paths"]["/predict"]["get"]["parameters"]}
    assert parameters["gear"]["schema"]["items"] == properties["gear"]
