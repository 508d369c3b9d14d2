"""Bad input gets the right status and a problem document that says where it is wrong."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from service.services.arrays import header_bytes

HEADER = "lat,long,depth,stations\n"
GOOD = "-20.1,181.5,500,40"
POINT = {"lat": -20.1, "long": 181.5, "depth": 500, "stations": 40}


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def point(**changed: Any) -> bytes:
    return json.dumps({**POINT, **changed}).encode()


def without(name: str) -> bytes:
    return json.dumps({k: v for k, v in POINT.items() if k != name}).encode()


@dataclass
class Bad:
    """A bad request, the status it must get, and what its problem document must say."""

    name: str
    status: int
    body: bytes | str = b""
    kind: str = "application/json"
    path: str = "/predict"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    says: str = ""
    where: dict[str, Any] = field(default_factory=dict)


def csv(name: str, status: int, body: str | bytes, says: str = "", **where: Any) -> Bad:
    return Bad(name, status, body, "text/csv", says=says, where=where)


def array(name: str, status: int, body: bytes, says: str = "", **where: Any) -> Bad:
    return Bad(name, status, body, "application/x-npy", says=says, where=where)


def query(name: str, status: int, text: str, says: str = "", **where: Any) -> Bad:
    return Bad(name, status, kind="", path=f"/predict?{text}", method="GET", says=says, where=where)


Q = "lat=-20&long=181&depth=500&stations=40"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=edge"
PART = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="i.csv"\r\n\r\n'
LONG = b"a" * (50 << 10)
TWO_FILES = PART + GOOD.encode() + b"\r\n" + PART + GOOD.encode() + b"\r\n--edge--\r\n"

CASES = [
    Bad("empty body", 400, says="JSON"),
    Bad("truncated JSON", 400, point()[:-4], says="ends too early"),
    Bad("JSON with a comma too many", 400, b'{"lat":1,}', says="trailing comma"),
    Bad("two JSON documents", 400, point() + point(), says="trailing"),
    Bad("NaN is not JSON", 400, b'{"lat":NaN,"long":1,"depth":1,"stations":1}', says="byte 7"),
    Bad("NaN is not JSON, it says so", 400, b'{"points":[[1,2,NaN,4]]}', says="NaN and Infinity are not valid JSON"),
    Bad("Infinity is not JSON", 400, b'{"lat":Infinity,"long":1,"depth":1,"stations":1}', says="NaN and Infinity"),
    Bad("-Infinity is not JSON", 400, b'{"points":[[1,2,3,-Infinity]]}', says="NaN and Infinity"),
    Bad("1e400", 422, b'{"lat":1e400,"long":1,"depth":1,"stations":1}', says="outside the range of float64"),
    Bad("integer beyond doubles", 422, point(lat=10**400), says="outside the range of float64", where={"path": "$.lat"}),
    Bad("deep JSON", 400, b"[" * 100_000, says="deep"),
    Bad("JSON text", 422, b'"hello"', says="object"),
    Bad("JSON number", 422, b"7", says="object"),
    Bad("JSON null", 422, b"null", says="object"),
    Bad("JSON is not UTF-8", 400, b'{"lat\xff":1}', says="not UTF-8 (byte 5)"),
    Bad("JSON in UTF-16", 400, json.dumps(POINT).encode("utf-16"), says="UTF-16"),
    Bad("empty object", 422, b"{}", says="missing lat", where={"missing": ["lat", "long", "depth", "stations"]}),
    Bad("missing feature", 422, without("depth"), says="missing depth", where={"missing": ["depth"]}),
    Bad("unknown feature", 422, point(magnitude=1), says="unknown magnitude", where={"unknown": ["magnitude"]}),
    Bad("wrong case", 422, json.dumps({"Lat": 1, "long": 1, "depth": 1, "stations": 1}).encode(), says="unknown: Lat"),
    Bad("letters for a number", 422, point(lat="north"), says='lat is not a number but "north"', where={"path": "$.lat"}),
    Bad("a number in quotes", 422, point(lat="1"), where={"feature": "lat"}),
    Bad("true for a number", 422, point(lat=True), where={"path": "$.lat"}),
    Bad("null for a number", 422, point(lat=None), where={"path": "$.lat"}),
    Bad("object for a number", 422, point(lat={}), where={"path": "$.lat"}),
    Bad("columns of unequal lengths", 422, json.dumps({"lat": [1, 2], "long": [1], "depth": [1, 2], "stations": [1, 2]}).encode(), says="long: 1"),
    Bad("a column and a number", 422, point(lat=[1.0, 2.0]), says="a single value"),
    Bad("empty columns", 422, json.dumps({name: [] for name in POINT}).encode(), says="no points"),
    Bad("letters in a column", 422, json.dumps({**{name: [1, 2] for name in POINT}, "depth": [1, "x"]}).encode(), where={"path": "$.depth[1]"}),
    Bad("empty list", 422, b"[]", says="no points"),
    Bad("list of numbers", 422, b"[1,2,3,4]", where={"path": "$[0]"}),
    Bad("list of rows", 422, b"[[1,2,3,4]]", says='{"points":', where={"path": "$[0]"}),
    Bad("bad second object", 422, b"[" + point() + b"," + without("lat") + b"]", says="missing lat", where={"path": "$[1]"}),
    Bad("letters in an object of a list", 422, b"[" + point() + b"," + point(long="x") + b"]", where={"path": "$[1].long"}),
    Bad("empty points", 422, b'{"points":[]}', says="no points"),
    Bad("points of a wrong dimension", 422, b'{"points":[[1,2,3,4],[1,2,3]]}', says="3 numbers, expected 4", where={"path": "$.points[1]"}),
    Bad("points with letters", 422, b'{"points":[[1,2,3,"four"]]}', where={"path": "$.points[0][3]"}),
    Bad("ragged mesh", 422, b'{"points":[[[1,2,3,4],[1,2,3,4]],[[1,2,3,4]]]}', says="list of 2", where={"path": "$.points[1]"}),
    Bad("points that are a number", 422, b'{"points":3}', where={"path": "$.points"}),
    Bad("points nested too deep", 422, b'{"points":' + b"[" * 12 + b"1" + b"]" * 12 + b"}", says="deeper"),
    Bad("points and something else", 422, b'{"points":[[1,2,3,4]],"colour":1}', says="unknown colour"),
    Bad("unknown value of an option", 422, point(noise="maybe"), says="noise", where={"option": "noise"}),
    Bad("interval of one", 422, point(interval=1.0), where={"option": "interval"}),
    Bad("negative samples", 422, point(samples=-1), where={"option": "samples"}),
    Bad("unknown on_bad_row", 422, point(on_bad_row="skip"), where={"option": "on_bad_row"}),
    Bad("too many samples", 413, point(samples=2_000_000), says="values", where={"limit": 1_000_000}),
    Bad("covariance of too many", 413, json.dumps({"points": [[1, 2, 3, 4]] * 1001, "covariance": True}).encode(), where={"limit": 1000}),
    Bad("covariance as CSV", 422, point(covariance=True), headers={"Accept": "text/csv"}, where={"option": "covariance"}),
    query("no parameters", 422, "", "missing lat"),
    query("missing parameter", 422, "lat=1&long=2&depth=3", "missing stations", missing=["stations"]),
    query("letters in a parameter", 422, Q.replace("-20", "north"), "'north'", feature="lat"),
    query("empty parameter", 422, Q.replace("-20", ""), feature="lat"),
    query("NaN parameter", 422, Q.replace("-20", "nan"), "finite", feature="lat"),
    query("infinite parameter", 422, Q.replace("-20", "-inf"), "finite", feature="lat"),
    query("1e400 parameter", 422, Q.replace("-20", "1e400"), "finite", feature="lat"),
    query("underscore in a number", 422, Q.replace("500", "5_00"), feature="depth"),
    query("unequal repetition", 422, Q + "&lat=-21", "given 1 times", feature="long"),
    query("unknown parameter", 422, Q + "&colour=red", "unknown colour"),
    query("unknown option value", 422, Q + "&gradient=perhaps", option="gradient"),
    query("an option twice", 422, Q + "&interval=0.95&interval=0.5", "'interval' is given twice", option="interval"),
    Bad("an option twice beside a table", 422, f"{HEADER}{GOOD}\n", "text/csv", path="/predict?interval=0.5&interval=0.9", says="given twice"),
    Bad("an option in the query and in the body", 422, point(interval=0.9), path="/predict?interval=0.5", says="given twice", where={"option": "interval"}),
    Bad("line breaks in columns", 422, f"{HEADER}{GOOD}\n", "text/csv", path="/predict?columns=a%0D%0Ab", where={"option": "columns"}),
    Bad("bad object among points", 422, b'{"points":[' + point() + b"," + point(long="x") + b"]}", where={"path": "$.points[1].long"}),
    Bad("a row among objects", 422, b'{"points":[' + point() + b",[1,2,3,4]]}", where={"path": "$.points[1]"}),
    Bad("form with a missing field", 422, "lat=1&long=2&depth=3", FORM, says="missing stations"),
    Bad("table as a form", 422, f"{HEADER}{GOOD}\n", FORM, says="'Content-Type: text/csv'"),
    Bad("table as a form, without newlines", 422, HEADER.strip() + GOOD, FORM, says="looks like a table"),
    Bad("large table as a form", 422, HEADER + f"{GOOD}\n" * 500_000, FORM, says="looks like a table"),
    Bad("form with a comma in a value", 422, "lat=1,5", FORM, says="missing long"),
    Bad("unknown option beside JSON", 422, point(), path="/predict?colour=red", says="unknown option"),
    csv("empty table", 422, "", "empty", line=1),
    csv("header only", 422, HEADER, "no data rows"),
    csv("header lacks a column", 422, "lat,long,depth\n1,2,3\n", "missing columns stations", line=1, missing=["stations"]),
    csv("column twice", 422, "lat,lat,long,depth,stations\n1,1,2,3,4\n", "lat appears twice", line=1, column="lat"),
    csv("ragged row", 422, f"{HEADER}{GOOD}\n1,2,3\n", "3 cells", line=3),
    csv("too many cells", 422, f"{HEADER}{GOOD}\n{GOOD},9\n", "5 cells", line=3),
    csv("letters in a cell", 422, f"{HEADER}{GOOD}\n\n1,2,deep,4\n", "'deep'", line=4, column="depth"),
    csv("empty cell", 422, f"{HEADER}1,,3,4\n", "long is empty", line=2, column="long"),
    csv("NaN in a cell", 422, f"{HEADER}1,2,NaN,4\n", "depth is missing: 'NaN'", line=2, column="depth"),
    csv("infinity in a cell", 422, f"{HEADER}1,2,inf,4\n", "finite", line=2),
    csv("1e400 in a cell", 422, f"{HEADER}1,2,1e400,4\n", "finite", line=2),
    csv("underscore in a cell", 422, f"{HEADER}1,2,1_0,4\n", "not a number: '1_0'", line=2),
    csv("decimal commas among points", 422, HEADER.replace(",", ";") + "1,5;2.5;3;4\n", "with a point", line=2),
    csv("no header, wrong dimension", 422, "1,2,3\n", "3 cells", line=1),
    csv("no header, letters", 422, "1,2,x,4\n", "'x'", line=1, column="depth"),
    csv("bad row near the end", 422, HEADER + f"{GOOD}\n" * 9999 + "1,2,x,4\n", "'x'", line=10001),
    csv("UTF-16", 400, (HEADER + GOOD).encode("utf-16"), "UTF-16"),
    csv("UTF-16 without a mark", 400, (HEADER + GOOD).encode("utf-16-le"), "UTF-16"),
    csv("gzip that is not said", 400, gzip.compress((HEADER + GOOD).encode()), "'Content-Encoding: gzip'", line=1),
    csv("a spreadsheet", 400, b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "save the table as CSV", line=1),
    csv("endless line", 400, "1," * 600_000, "longer than"),
    csv("unclosed quote", 400, HEADER + '"' + f"{GOOD}\n" * 20_000, "a quote opened on line 2 may"),
    csv("unclosed quote in a small table", 422, f'{HEADER}{GOOD}\n"{GOOD}\n{GOOD}\n', "a quote opened on line 3 may", line=4),
    csv("unclosed quote in the last column", 422, f'{HEADER}{GOOD}\n1,2,3,"4\n{GOOD}\n', "a quote opened on line 3 may", line=4),
    csv("unclosed quote in the last line", 422, f'{HEADER}"{GOOD}\n', "a quote opened on line 2 may", line=2),
    csv("unclosed quote without a last line break", 422, f'{HEADER}"{GOOD}\n{GOOD}', "a quote opened on line 2 may", line=3),
    csv("a large cell of one line", 400, HEADER + "1" * 200_000 + ",2,3,4\n", "(131072)"),
    csv("a large cell of one line between semicolons", 400, HEADER.replace(",", ";") + "1" * 200_000 + ";2;3;4\n", "(131072)"),
    csv("unclosed quote after an empty line", 400, f'{HEADER}{GOOD}\n\n"' + f"{GOOD}\n" * 20_000, "opened on line 4 may"),
    array("not an array", 400, b"hello", "not a .npy"),
    array("truncated array", 400, npy(np.ones((5, 4)))[:-8], "its header announces 160"),
    array("array with more behind it", 400, npy(np.ones((5, 4))) + b"1234", "its header announces 160"),
    array("pickled array", 422, npy(np.array([POINT], dtype=object)), "pickled"),
    array("wrong last axis", 422, npy(np.ones((5, 3))), "length 4"),
    array("scalar array", 422, npy(np.float64(1.0)), "length 4"),
    array("no points", 422, npy(np.ones((0, 4))), "no points"),
    array("complex array", 422, npy(np.ones((2, 4), complex)), "real numbers"),
    array("texts in an array", 422, npy(np.array([["a", "b", "c", "d"]])), "real numbers"),
    array("NaN in an array", 422, npy(np.array([[1, 2, 3, 4], [1, np.nan, 3, 4]])), "point 1", row=1),
    array("array with a false header", 400, npy(np.ones((5, 4))).replace(b"'shape'", b"'shap_'")),
    array("array with a header that does not end", 400, npy(np.ones((5, 4))).replace(b"}", b" "), "not a .npy"),
    array("array of 70 dimensions", 400, header_bytes((1,) * 69 + (4,)) + bytes(32), "dimension"),
    array("array of a negative size", 400, npy(np.ones((5, 4))).replace(b"(5, 4)", b"(-5,4)"), "its shape is (-5, 4)"),
    Bad("a spreadsheet in a form", 400, PART + b"PK\x03\x04\x14\x00\r\n--edge--\r\n", BOUNDARY, says="xlsx"),
    Bad("a bare pickle", 400, pickle.dumps(POINT), "application/octet-stream", says="a Python pickle"),
    Bad("truncated multipart", 400, PART + (HEADER + GOOD).encode(), BOUNDARY, says="form"),
    Bad("multipart without file", 400, PART.replace(b'"file"', b'"data"') + GOOD.encode() + b"\r\n--edge--\r\n", BOUNDARY, says="'file'"),
    Bad("two files", 400, TWO_FILES, BOUNDARY, says="one file per request"),
    Bad("a file and another", 400, TWO_FILES.replace(b'"file"', b'"data"', 1), BOUNDARY, says="(data, file)"),
    Bad("a part with a large header", 413, PART.replace(b"\r\n\r\n", b"\r\nX-A: " + LONG + b"\r\n\r\n"), BOUNDARY, says="header of a part", where={"limit": 32768}),
    Bad("a part whose header has no end", 413, PART[:-4] + b"\r\na: b" * len(LONG), BOUNDARY, says="header of a part"),
    Bad("much before the first part", 413, b"\n" * 200_000 + TWO_FILES, BOUNDARY, says="header of a part"),
    Bad("too many parts", 413, b"--edge\r\nContent-Disposition: form-data; name=lat\r\n\r\n1\r\n" * 1001, BOUNDARY, says="1000 parts"),
    Bad("fields that are too large together", 413, b"".join(PART.replace(b'; filename="', b'; x="') + LONG * 20 + b"\r\n" for _ in range(5)), BOUNDARY, says="fields of the form", where={"limit": 4 << 20}),
    Bad("a part without a name", 400, TWO_FILES.replace(b'name="file"', b'a="b"'), BOUNDARY, says="several files"),
    Bad("empty multipart", 400, b"--edge--\r\n", BOUNDARY, says="'file'"),
    Bad("multipart without boundary", 400, PART, "multipart/form-data"),
    Bad("not gzip", 400, point(), headers={"Content-Encoding": "gzip"}, says="gzip"),
    Bad("truncated gzip", 400, gzip.compress(point())[:-12], headers={"Content-Encoding": "gzip"}, says="gzip"),
    Bad("gzip bomb", 413, gzip.compress(b" " * (65 << 20)), headers={"Content-Encoding": "gzip"}, says="bytes"),
    Bad("brotli", 415, point(), headers={"Content-Encoding": "br"}, says="gzip"),
    Bad("XML", 415, b"<lat>1</lat>", "application/xml", says="application/json"),
    Bad("CSV in Latin-1", 415, GOOD, "text/csv; charset=iso-8859-1", says="utf-8"),
    Bad("Accept nothing we have", 406, point(), headers={"Accept": "image/png"}, where={"offered": ["application/json", "text/csv", "application/x-npy", "application/x-ndjson"]}),
    Bad("another version", 412, point(), headers={"If-Match": '"000000000000"'}, says="version"),
    Bad("wrong method", 405, point(), method="PUT", says="PUT"),
    Bad("wrong method on /model", 405, b"{}", path="/model", says="POST"),
    Bad("wrong method on /healthz", 405, b"{}", path="/healthz", says="POST"),
    Bad("unknown path", 404, path="/nothing", method="GET", says="/nothing"),
    Bad("unknown path below one", 404, path="/predict/", method="GET"),
]  # fmt: skip


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name.replace(" ", "-"))
def test_bad_input(http: httpx.Client, bad: Bad) -> None:
    headers = dict(bad.headers)
    if bad.kind:
        headers["Content-Type"] = bad.kind
    body = bad.body.encode() if isinstance(bad.body, str) else bad.body
    content = None if bad.method == "GET" else body
    answer = http.request(bad.method, bad.path, content=content, headers=headers)
    assert answer.status_code == bad.status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == bad.status
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert bad.says in document["detail"]
    for member, value in bad.where.items():
        assert document[member] == value, document
    assert "Traceback" not in answer.text


def test_there_are_sixty() -> None:
    assert len({bad.name for bad in CASES}) >= 60


def test_too_many_samples_of_a_table_that_is_not_counted(http: httpx.Client) -> None:
    body = HEADER + f"{GOOD}\n" * 200
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    path = "/predict?on_bad_row=nan&samples=9999"
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["limit"] == 1_000_000


@pytest.mark.parametrize("accept", ["text/csv", "application/json", "application/x-ndjson"])
def test_a_bad_row_can_spare_the_others(http: httpx.Client, accept: str) -> None:
    body = f"{HEADER}{GOOD}\n1,2,deep,4\n1,2\n{GOOD}\n"
    headers = {"Content-Type": "text/csv", "Accept": accept}
    answer = http.post("/predict?on_bad_row=nan", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "line 3: depth is not a number: 'deep'" in answer.text
    assert "line 4: 2 cells" in answer.text
    if accept == "text/csv":
        rows = answer.text.splitlines()
        assert rows[0] == HEADER.strip() + ",mean,variance,error"
        assert rows[2].startswith("1,2,deep,4,nan,nan,line 3")
        assert rows[1].split(",")[4:6] == rows[4].split(",")[4:6]
    if accept == "application/json":
        document = answer.json()
        assert document["mean"][1:3] == [None, None]
        assert [error["row"] for error in document["errors"]] == [1, 2]


def test_a_bad_row_is_nan_in_an_array(http: httpx.Client) -> None:
    body = f"{HEADER}{GOOD}\n1,2,deep,4\n"
    headers = {"Content-Type": "text/csv", "Accept": "application/x-npy"}
    answer = http.post("/predict?on_bad_row=nan", content=body, headers=headers)
    P = np.load(io.BytesIO(answer.content))
    assert np.isfinite(P[0]).all()
    assert np.isnan(P[1]).all()
