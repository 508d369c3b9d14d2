"""JSON of every protocol: points, large bodies of rows, v2 with its binary extension, UM-Bridge."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, BinaryIO, cast

import msgspec
import numpy as np

from service.gpr import GPR
from service.jobs.inputs import checked_training_data
from service.services import jsonrows, umbridge, v2
from service.services import v2tensors as tensors
from service.services.chunks import Source
from service.services.errors import Problem
from service.services.features import features_of
from service.services.jsonpoints import read_json
from service.services.trainingjson import table_of_json
from service.web.jobs import _training_spec
from tests.fuzz import models
from tests.fuzz.answers import MOST_POINTS, answer, check, predict, reader, variant
from tests.fuzz.running import Reader, Wrong
from tests.fuzz.tables import check_rows

_POINT = {"lat": -20, "long": 181.5, "depth": 500, "stations": 30}
_ROW = [-20, 181.5, 500, 30]
_WORDS = (
    b'"points":', b'"lat"', b'"wt"', b'"gear"', b'"automatic"', b'"noise":false', b'"interval":0.9', b'"gradient":true', b"true",
    b'"samples":2', b'"seed":9', b'"covariance":true', b"[[", b"]]", b"[]", b"{}", b"null", b"-1", b"1E+2", b'"\\ud83d"', b'"a":1,',
    b'"pathwise":true', b'"on_bad_row":"nan"', b'"extrapolated":true', b"[" * 40, b"]" * 40,
)  # fmt: skip


def _made(documents: list[Any]) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


def points() -> Reader:
    """JSON bodies of /predict."""
    shapes: list[Any] = [
        _POINT,
        {name: [value, value] for name, value in _POINT.items()},
        [_POINT, _POINT],
        {"points": [_ROW, _ROW], "noise": False},
        {"points": _ROW, "interval": 0.95, "gradient": True},
        {"points": [[_ROW, _ROW], [_ROW, _ROW]], "samples": 2, "seed": 1, "pathwise": True},
        {"points": [_POINT, _POINT], "covariance": True},
        {"wt": 2.5, "gear": "automatic"},
        {"wt": [1, 2], "gear": ["é", 4]},
        {"points": [[1, "manual, 5 gears"], [2, 4.0]]},
    ]
    return Reader(_read_points, _made(shapes), _WORDS, partial(_document, shapes))


def _model_for(data: bytes) -> GPR:
    return (
        models.words()
        if b'"wt"' in data or b'"gear"' in data or variant(data) % 8 == 7
        else models.numbers()
    )


def _read_points(data: bytes) -> str:
    model, number = _model_for(data), variant(data)
    source, options = reader(model).json(cast(BinaryIO, io.BytesIO(data)), [])
    return answer(model, source, options, number)


def rows() -> Reader:
    """Bodies of rows, read block by block; the same as read whole."""
    shapes: list[Any] = [
        {"points": [_ROW] * 9},
        {"noise": False, "points": [_ROW, _ROW], "gradient": True},
        {"points": [[1.5, 2e5, -3, 4], [0, 0, 0, 0]], "interval": 0.5, "seed": 3},
    ]
    seeds = [
        *_made(shapes),
        b'{"points":[[1,2,3,4],[[]]]}',
        b'{"points":[[1,2,3,4],5]}',
        b'{ "points" : [ [1,2,3,4] ,\n [1 , 2, 3,4]\r\n] , "noise" :true }',
    ]
    return Reader(_read_rows, seeds, _WORDS, partial(_document, shapes))


class _Slow(io.BytesIO):
    """A body that arrives in small pieces."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__(data)
        self._piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, self._piece) if size and size > 0 else self._piece)


def _read_rows(data: bytes) -> str:
    model, number = models.numbers(), variant(data)
    features = features_of(model)
    head = 64 + number % 100
    found = jsonrows.opening(data[:head])
    if found is None:
        return "no rows"
    body = _Slow(data[head:], 1 + number // 100 % 60)
    try:
        X, options = jsonrows.RowReader(data[:head], found, body, features, MOST_POINTS).read()
    except Problem as problem:
        _refuse_stricter(data, problem)
        raise
    try:
        whole = read_json(data, features)
    except Problem as problem:
        raise Wrong("rows are read that the whole body does not have") from problem
    if whole.options != options or not np.array_equal(np.array(whole.rows), X):
        raise Wrong("rows read block by block differ from the whole")
    source = Source(list(features.names), (len(X),), iter(()))
    assert source.shape
    return "rows"


def _refuse_stricter(data: bytes, problem: Problem) -> None:
    """Raise `Wrong` for rows that are refused as no JSON although they are."""
    if problem.status == 400:
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        raise Wrong(f"JSON is refused: {problem.detail}") from problem


_TENSOR = {"name": "x", "datatype": "FP64", "shape": [2, 4]}
_EACH = [
    {"name": name, "datatype": "FP32", "shape": [1], "data": [value]}
    for name, value in _POINT.items()
]
_BINARY = {"parameters": {"binary_data_size": 64}}


def inferences() -> Reader:
    """v2 inferences: the length of the JSON in four bytes, the JSON, and binary tensors."""
    shapes: list[Any] = [
        {"inputs": [{**_TENSOR, "data": [*_ROW, *_ROW]}]},
        {"inputs": [{**_TENSOR, "data": [_ROW, _ROW]}], "id": "1", "outputs": [{"name": "mean"}]},
        {"inputs": _EACH, "outputs": [{"name": "mean_gradient", "parameters": {"binary_data": True}}]},
        {"inputs": [{**_TENSOR, **_BINARY}], "parameters": {"binary_data_output": True}},
        {"inputs": [{"name": "wt", "datatype": "FP64", "shape": [1], "data": [1]}, {"name": "gear", "datatype": "BYTES", "shape": [1, 1], "data": ["automatic"]}]},
        {"inputs": [{**_TENSOR, "datatype": kind, "data": [[-20, 181, 500, 30]] * 2} for kind in ("INT64",)]},
    ]  # fmt: skip
    raw = np.array([_ROW, _ROW], "<f8").tobytes()
    seeds = [_framed(text, raw if b"binary_data_size" in text else b"") for text in _made(shapes)]
    word = struct.pack("<I", 9) + b"automatic"
    gear = {
        "name": "gear",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": 13},
    }
    wt = {"name": "wt", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    seeds.append(_framed(json.dumps({"inputs": [wt, gear]}).encode(), raw[:8] + word))
    seeds.append(_framed(json.dumps({"inputs": [gear, wt]}).encode(), word + raw[:8]))
    seeds.append(_framed(b"", raw))

    def generate(random: Random) -> bytes:
        text = _document(shapes, random)
        return _framed(text, raw * random.randrange(2) if b"binary_data_size" in text else b"")

    words = (b'"datatype":"INT64"', b'"FP16"', b'"BOOL"', b'"shape":[2,4]', b'"data":', b'"binary_data_size":32', b'"binary_data_size":-8', b'"shape":[0]', b"[0,0]", *_WORDS)  # fmt: skip
    return Reader(_read_inference, seeds, words, generate)


def _framed(text: bytes, raw: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text + raw


def _read_inference(data: bytes) -> str:
    size = int.from_bytes(data[:4], "little") % (len(data) + 1)
    text, raw = data[4 : 4 + size], data[4 + size :]
    model = models.words() if b'"gear"' in text else models.numbers()
    features = features_of(model)
    if text:
        asked = tensors.read_inference(text)
        X = v2.read_points(asked, raw, features, MOST_POINTS)
    else:
        asked = tensors.Inference([], given=tensors.Parameters(binary_data_output=True))
        X = v2.raw_points(raw, len(features.names), MOST_POINTS)
    outputs, members = v2.infer(model, X, asked, predict)
    length, pieces = tensors.write({"model_name": "m", "id": asked.id, **members}, outputs)
    body = b"".join(pieces)
    check("application/json", body[:length])
    if not all(np.isfinite(output.values).all() for output in outputs):
        raise Wrong("an output is not finite")
    return f"{len(outputs)} outputs, {'text' if length is None else 'bytes'}"


def calls() -> Reader:
    """Calls of UM-Bridge, each of its kinds by the input's checksum."""
    both = {"sens": [1, 0.5], "vec": _ROW, "outWrt": 0, "inWrt": 0, "inWrt1": 0, "inWrt2": 0}
    shapes: list[Any] = [
        {"name": "quakes", "input": [_ROW], "config": {}, **both},
        {"name": "quakes-mean", "input": [_ROW], "sens": [1], "vec": _ROW, "config": {"noise": False}},
        {"name": "quakes", "input": [_ROW * 2], "config": {"n": 2}, "sens": [1, 0, 1, 0], "vec": _ROW * 2},
        {"name": "quakes-variance", "input": [_ROW], "sens": [1], "vec": _ROW, "config": {"n": [1]}},
        {"name": "gp", "input": [[1.5, 0]], "config": {}, "sens": [1, 1], "vec": [1, 0]},
    ]  # fmt: skip
    words = (b'"config":{"n":2}', b'"n":4294967296', b'"outWrt":1', b'"sens":[1e308]', b'"vec":[0,0,0,1e308]', *_WORDS)  # fmt: skip
    return Reader(_read_call, _made(shapes), words, partial(_document, shapes))


_FEATURES: tuple[umbridge.Feature | None, ...] = (
    "Evaluate", "Gradient", "ApplyJacobian", "ApplyHessian", None,
)  # fmt: skip


def _read_call(data: bytes) -> str:
    model = models.words() if b'"gp' in data else models.numbers()
    feature = _FEATURES[variant(data) % len(_FEATURES)]
    call = umbridge.read(data, model, feature)
    columns = umbridge.columns_of(call.name, model)
    if feature is None:
        return "sizes"
    X = np.array(umbridge.rows(call, features_of(model), MOST_POINTS))
    check("application/json", b"".join(_compute(feature, model, X, call, columns)))
    return feature


def _compute(feature: str, model: GPR, X: Any, call: umbridge.Call, columns: Any) -> Any:
    """Answer a call as its route does."""
    if feature == "Evaluate":
        umbridge.evaluated(model.predict(X, noise=call.config.noisy), columns)
        return umbridge.evaluated_pieces(model.predict(X, noise=call.config.noisy), columns)
    umbridge.check_indices(outWrt=call.out_wrt, inWrt=call.in_wrt)
    if feature == "ApplyJacobian":
        vec = umbridge.vector(call.vec, "vec", *X.shape)
        return umbridge.derived(umbridge.jacobian(model, columns, X, vec))
    sens = umbridge.vector(call.sens, "sens", len(X), len(columns))
    if feature == "Gradient":
        return umbridge.derived(umbridge.gradient(model, columns, X, sens))
    vec = umbridge.vector(call.vec, "vec", *X.shape)
    return umbridge.derived(umbridge.hessian(model, columns, X, sens, vec))


def trainings() -> Reader:
    """JSON bodies of /train, with their options."""
    column = list(range(12))
    squares = [i * i % 7 for i in column]
    shapes: list[Any] = [
        {"data": {"a": column, "b": squares, "y": [i % 5 for i in column]}},
        {"inputs": [[i, i % 3] for i in column], "output": squares, "target": "y", "kernel": "RBF"},
        {"data": {"a": column, "b": ["red", "blue", None] * 4, "y": squares}, "categorical": ["b"], "drop_missing": True},
        {"inputs": {"p": column, "q": squares}, "output": column, "held_out": 0.2, "restarts": 1},
    ]  # fmt: skip
    words = (b'"kernel":"RBF*"', b'"noise":"0.1"', b'"target":"a"', b'"features":["a"]', b'"name":"a/../b"', b'"leave_out":["b"]', b'"activate":false', *_WORDS)  # fmt: skip
    return Reader(
        _read_training, [*_made(shapes), b'{"\xe9":1}'], words, partial(_document, shapes)
    )


def _read_training(data: bytes) -> str:
    table, members = table_of_json(data)
    rows = checked_training_data(table, _training_spec(members))
    check_rows(rows.X, rows.y)
    return "trains a model"


def _document(shapes: list[Any], random: Random) -> bytes:
    """One of the documents, with a few values replaced, added or removed."""
    document = json.loads(json.dumps(random.choice(shapes)))
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        document = _changed(document, random)
    indent = random.choice((None, None, None, 1))
    return json.dumps(document, ensure_ascii=random.random() < 0.5, indent=indent).encode(
        "utf-8", "replace"
    )


_ODD: tuple[Callable[[], Any], ...] = tuple(
    partial(json.loads, text)
    for text in (
        "0", "-0.0", "1e308", "-1e308", "1e-320", "123456789012345678901234567890", "true", "null", '""', '"x"', "[]", "{}", "[[]]",
        "[1,2]", '"NaN"', "NaN", "Infinity", '{"a":1}', '[[[[[[[[[[1]]]]]]]]]]', '"é"', '"\\u0000"', "0.5", "2", "9007199254740993",
    )
)  # fmt: skip


def _changed(value: Any, random: Random) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        chance = random.random()
        if chance < 0.1:
            del value[key]
        elif chance < 0.2:
            value[random.choice(("lat", "colour", "", "points", "é", key + " "))] = value[key]
        else:
            value[key] = _changed(value[key], random)
        return value
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        chance = random.random()
        if chance < 0.1:
            del value[at]
        elif chance < 0.2:
            value.insert(at, value[at])
        else:
            value[at] = _changed(value[at], random)
        return value
    return random.choice(_ODD)()
