"""Every way to send points and every way to be answered gives the model's own numbers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from service.gpr import GPR
from service.model import FloatArray

Names = tuple[str, ...]


def table(X: FloatArray, names: Names, **dialect: Any) -> str:
    out = io.StringIO()
    writer = csv.writer(out, **dialect)
    writer.writerow(names)
    writer.writerows(X.tolist())
    return out.getvalue()


def npy(X: FloatArray) -> bytes:
    out = io.BytesIO()
    np.save(out, X)
    return out.getvalue()


def same(answer: httpx.Response, P: FloatArray) -> None:
    """The same bits: JSON writes the shortest text that reads back as the same double."""
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["mean"] == P[..., 0].tolist()
    assert said["variance"] == P[..., 1].tolist()


def test_query_string(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.get("/predict", params=dict(zip(names, X[0], strict=True))), P[0])


def test_query_string_batch(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    pairs = [(name, str(value)) for row in X[:3] for name, value in zip(names, row, strict=True)]
    same(http.get("/predict", params=httpx.QueryParams(tuple(pairs))), P[:3])


def test_objects_with_options(
    http: httpx.Client, X: FloatArray, P: FloatArray, names: Names
) -> None:
    points = [dict(zip(names, row, strict=True)) for row in X.tolist()]
    answer = http.post("/predict", json={"points": points, "interval": 0.95})
    same(answer, P)
    assert len(answer.json()["upper"]) == len(X)


def test_form(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.post("/predict", data=dict(zip(names, map(str, X[0]), strict=True))), P[0])


def test_multipart_fields(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    parts = {name: (None, str(value)) for name, value in zip(names, X[0], strict=True)}
    same(http.post("/predict", files=parts), P[0])


def test_json_object(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.post("/predict", json=dict(zip(names, X[0].tolist(), strict=True))), P[0])


def test_json_columns(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.post("/predict", json=dict(zip(names, X.T.tolist(), strict=True))), P)


def test_json_objects(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.post("/predict", json=[dict(zip(names, row, strict=True)) for row in X.tolist()]), P)


def test_json_points(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    same(http.post("/predict", json={"points": X.tolist()}), P)


def test_json_mesh_keeps_its_shape(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    same(
        http.post("/predict", json={"points": X.reshape(2, 5, 2, -1).tolist()}),
        P.reshape(2, 5, 2, 2),
    )


def test_json_one_point_in_points(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    same(http.post("/predict", json={"points": X[0].tolist()}), P[0])


def test_json_needs_no_content_type(
    http: httpx.Client, X: FloatArray, P: FloatArray, names: Names
) -> None:
    same(
        http.post("/predict", content=json.dumps(dict(zip(names, X[0].tolist(), strict=True)))),
        P[0],
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("terminator", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_csv(
    http: httpx.Client,
    X: FloatArray,
    P: FloatArray,
    names: Names,
    delimiter: str,
    terminator: str,
    bom: bytes,
) -> None:
    text = table(X, names, delimiter=delimiter, lineterminator=terminator)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = http.post("/predict", content=bom + text.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    rows = list(csv.reader(io.StringIO(answer.text), delimiter=delimiter))
    assert rows[0] == [*names, "mean", "variance"]
    assert [[float(c) for c in row] for row in rows[1:]] == np.hstack([X, P]).tolist()


def test_csv_without_header(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    text = table(X, names).partition("\n")[2]
    same(http.post("/predict", content=text, headers={"Content-Type": "text/csv"}), P)


def test_csv_in_any_order_with_other_columns(
    http: httpx.Client, X: FloatArray, P: FloatArray, names: Names
) -> None:
    header = ["id", *reversed(names), "note"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    for i, row in enumerate(X.tolist()):
        writer.writerow([i, *reversed(row), 'says "hello",\nand more'])
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = http.post("/predict", content=out.getvalue(), headers=headers)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["note"] for row in rows] == ['says "hello",\nand more'] * len(X)
    assert [int(row["id"]) for row in rows] == list(range(len(X)))
    assert [float(row["mean"]) for row in rows] == P[:, 0].tolist()


def test_csv_keeps_bytes_that_are_not_utf8(http: httpx.Client, X: FloatArray, names: Names) -> None:
    row = ",".join(map(str, X[0])).encode()
    body = ",".join([*names, "site"]).encode() + b"\n" + row + b",Z\xfcrich\n"
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    assert b"Z\xfcrich" in http.post("/predict", content=body, headers=headers).content


def test_multipart_file(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    same(http.post("/predict", files={"file": ("input.csv", table(X, names))}), P)


def test_multipart_file_with_options(http: httpx.Client, X: FloatArray, names: Names) -> None:
    files = {"file": ("input.csv", table(X, names))}
    answer = http.post("/predict", files=files, data={"interval": "0.9"})
    assert set(answer.json()) == {"mean", "variance", "lower", "upper"}


def test_multipart_gzipped_file(
    http: httpx.Client, X: FloatArray, P: FloatArray, names: Names
) -> None:
    packed = gzip.compress(table(X, names).encode())
    same(http.post("/predict", files={"file": ("input.csv.gz", packed)}), P)


@pytest.mark.parametrize("name", ["points.JSON", "points.json.gz", "points"])
def test_multipart_json_is_found_by_its_name_or_its_beginning(
    http: httpx.Client, X: FloatArray, P: FloatArray, name: str
) -> None:
    text = json.dumps({"points": X.tolist()}).encode()
    content = gzip.compress(text) if name.endswith(".gz") else text
    same(http.post("/predict", files={"file": (name, content)}), P)


def test_multipart_json_file(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    body = json.dumps({"points": X.tolist()})
    same(http.post("/predict", files={"file": ("input.json", body)}), P)


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_compressed_json(
    http: httpx.Client, X: FloatArray, P: FloatArray, encoding: str, encode: Callable[..., bytes]
) -> None:
    body = encode(json.dumps({"points": X.tolist()}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    same(http.post("/predict", content=body, headers=headers), P)


def test_gzip_csv(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    same(http.post("/predict", content=gzip.compress(table(X, names).encode()), headers=headers), P)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "i4"])
def test_npy_mesh(http: httpx.Client, gpr: GPR, order: str, dtype: str) -> None:
    low, high = gpr.description.training_range.T
    points = np.random.default_rng(2).uniform(low, high, (20, 20, 20, 4)).astype(dtype)
    body = npy(np.asarray(points, order=order))  # type: ignore[call-overload]
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
    answer = http.post("/predict", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    got = np.load(io.BytesIO(answer.content))
    assert got.shape == (20, 20, 20, 2)
    want = gpr.predict(points.astype(np.float64).reshape(-1, 4))
    assert np.array_equal(got.reshape(-1, 2), want)


def test_npy_one_point(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    headers = {"Content-Type": "application/x-npy"}
    same(http.post("/predict", content=npy(X[0]), headers=headers), P[0])


def test_npy_file_in_a_form(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    same(http.post("/predict", files={"file": ("points.npy", npy(X))}), P)


def test_csv_answer_to_json(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    answer = http.post("/predict", json={"points": X.tolist()}, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [float(row["variance"]) for row in rows] == P[:, 1].tolist()
    assert [[float(row[name]) for name in names] for row in rows] == X.tolist()


def test_npy_answer_to_csv(http: httpx.Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    headers = {"Content-Type": "text/csv", "Accept": "application/x-npy"}
    answer = http.post("/predict", content=table(X, names), headers=headers)
    assert np.array_equal(np.load(io.BytesIO(answer.content)), P)


def test_ndjson_answer(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    headers = {"Accept": "application/x-ndjson"}
    answer = http.post("/predict", json={"points": X.tolist()}, headers=headers)
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [[row["mean"], row["variance"]] for row in rows] == P.tolist()


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.1"])
def test_json_is_the_default(http: httpx.Client, X: FloatArray, accept: str) -> None:
    answer = http.post("/predict", json={"points": X.tolist()}, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


def test_large_arrays_give_the_same_bits_as_the_model(http: httpx.Client, gpr: GPR) -> None:
    low, high = gpr.description.training_range.T
    points = np.random.default_rng(3).uniform(low, high, (3333, 4))
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
    answer = http.post("/predict", content=npy(points), headers=headers)
    assert np.array_equal(np.load(io.BytesIO(answer.content)), gpr.predict(points))


def test_large_csv_equals_large_npy(http: httpx.Client, gpr: GPR, names: Names) -> None:
    low, high = gpr.description.training_range.T
    points = np.random.default_rng(4).uniform(low, high, (5000, 4))
    headers = {"Content-Type": "text/csv"}
    same(http.post("/predict", content=table(points, names), headers=headers), gpr.predict(points))
