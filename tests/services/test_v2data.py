"""Input tensors: numbers of every datatype are read exactly, and what cannot be is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import numpy as np
import pytest

from service.services.errors import Problem
from service.services.features import Features
from service.services.v2 import read_points
from service.services.v2data import EXACT, read_arrays
from service.services.v2tensors import DATATYPES, read_inference

EDGES: dict[str, list[float]] = {
    "FP64": [1 / 3, -1e300],
    "FP32": [float(np.float32(1 / 3)), float(np.float32(-3e38))],
    "FP16": [float(np.float16(1 / 3)), -65504.0],
    "INT64": [EXACT, -EXACT],
    "INT32": [2**31 - 1, -(2**31)],
    "INT16": [2**15 - 1, -(2**15)],
    "INT8": [127, -128],
    "UINT64": [EXACT, 0],
    "UINT32": [2**32 - 1, 0],
    "UINT16": [2**16 - 1, 0],
    "UINT8": [255, 0],
    "BOOL": [True, False],
}


def _text(datatype: str, data: Any, **parameters: Any) -> bytes:
    tensor = {"name": "x", "datatype": datatype, "shape": [2], "parameters": parameters}
    return json.dumps({"inputs": [tensor | ({} if data is None else {"data": data})]}).encode()


def _read(text: bytes, raw: bytes = b"") -> Any:
    values = read_arrays(read_inference(text).inputs, raw)["x"]
    return values if values.dtype == object else values.astype(np.float64)


def _refused(text: bytes, raw: bytes = b"") -> str:
    with pytest.raises(Problem) as caught:
        _read(text, raw)
    assert caught.value.status == 400
    return caught.value.detail


def test_every_datatype_is_tried() -> None:
    assert EDGES.keys() == DATATYPES.keys()


@pytest.mark.parametrize("datatype", EDGES)
def test_the_largest_and_smallest_are_read_exactly(datatype: str) -> None:
    data = EDGES[datatype]
    want = np.array(data, np.float64)
    raw = np.array(data, DATATYPES[datatype]).tobytes()
    np.testing.assert_array_equal(_read(_text(datatype, data)), want)
    text = _text(datatype, None, binary_data_size=len(raw))
    np.testing.assert_array_equal(_read(text, raw), want)


@pytest.mark.parametrize(
    ("datatype", "data", "says"),
    [
        ("INT64", [EXACT + 1, 0], "9007199254740993 is beyond 2**53 = 9007199254740992"),
        ("INT64", [EXACT + 1, 0.0], "beyond 2**53"),
        ("INT64", [0, -EXACT - 1], "-9007199254740993 is beyond 2**53"),
        ("UINT64", [2**64 - 1, 2**64 - 1], "18446744073709551615 is beyond 2**53"),
        ("UINT64", [0, -1], "-1 is outside UINT64, which is 0 to 18446744073709551615"),
        ("INT64", [10**400, 0], "a number is outside INT64"),
        ("INT8", [128, 0], "128 is outside INT8, which is -128 to 127"),
        ("UINT8", [0, -1], "-1 is outside UINT8"),
        ("INT32", [1.5, 0], "1.5 is not an integer, but the datatype is INT32: send FP64"),
        ("BOOL", [2, 0], "2 is outside BOOL, which is 0 to 1"),
        ("BOOL", [0.5, 0], "got `float` - at `data[0]`"),
        ("INT64", [True, 0], "got `bool` - at `data[0]`"),
        ("FP64", [1, None], "got `null` - at `data[1]`"),
        ("FP64", [1, 10**400], "a number outside the range of float64 - at `data[1]`"),
        ("BF16", [1, 2], "unsupported datatype BF16; supported: FP64, FP32, FP16, INT64"),
    ],
)
def test_what_float64_or_the_datatype_cannot_hold(datatype: str, data: Any, says: str) -> None:
    assert says in _refused(_text(datatype, data))


def test_a_number_with_more_digits_than_python_reads() -> None:
    text = _text("INT64", ["@", 0]).replace(b'"@"', b"9" * 5000)
    assert "a number outside the range of float64" in _refused(text)


@pytest.mark.parametrize(
    ("datatype", "raw", "says"),
    [
        ("INT64", np.array([0, EXACT + 1], "<i8"), "9007199254740993 is beyond 2**53"),
        ("UINT64", np.array([2**63, 0], "<u8"), "9223372036854775808 is beyond 2**53"),
        ("BOOL", np.array([0, 2], "u1"), "2 is outside BOOL"),
        ("INT16", np.array([1, 2], "<i4"), "binary_data_size is 8, shape [2] of INT16 has 4"),
    ],
)
def test_the_same_in_bytes(datatype: str, raw: Any, says: str) -> None:
    assert says in _refused(_text(datatype, None, binary_data_size=raw.nbytes), raw.tobytes())


@pytest.mark.parametrize("size", [-1, -8, -(10**12), -(10**20)])
def test_no_size_leads_to_bytes_before_the_body(size: int) -> None:
    """Of words the shape does not say how many bytes there are, so nothing else checks the size."""
    words = {
        "name": "w",
        "datatype": "BYTES",
        "shape": [0],
        "parameters": {"binary_data_size": size},
    }
    number = {"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [words, number]}).encode()
    says = _refused(text, bytes(8))
    assert "binary_data_size" in says


def test_integers_may_be_written_with_a_point() -> None:
    assert _read(b'{"inputs":[{"name":"x","datatype":"INT8","shape":[2],"data":[4.0,5]}]}')[0] == 4


def test_words_of_mlservers_codecs() -> None:
    """A pandas column of objects is sent as JSON in strings, and bytes in base64."""
    encoded = base64.b64encode("größe".encode()).decode()
    assert _read(_text("BYTES", ["4", '"a b"'], content_type="pd_json")).tolist() == [4, "a b"]
    assert _read(_text("BYTES", [encoded, "YQ=="], content_type="base64"))[0] == "größe"
    assert _read(_text("BYTES", ["4", "a"], content_type="str")).tolist() == ["4", "a"]
    lists = _read(_text("BYTES", ["[1, 2]", "[3, 4]"], content_type="pd_json"))
    assert lists.tolist() == [[1, 2], [3, 4]]
    assert "are not pd_json" in _refused(_text("BYTES", ["a", "b"], content_type="pd_json"))
    assert "are not base64" in _refused(_text("BYTES", ["a", "b"], content_type="base64"))


CARS = Features(("gear", "wt", "cyl"), {"gear": ["auto", "false", "true"], "cyl": ["4", "6", "8"]})


def _point(**tensors: tuple[str, Any]) -> Any:
    given = {"gear": ("BYTES", "auto"), "wt": ("INT32", 2), "cyl": ("BYTES", "6"), **tensors}
    inputs = [
        {"name": name, "datatype": kind, "shape": [1], "data": [value]}
        for name, (kind, value) in given.items()
    ]
    return read_points(read_inference(msgspec.json.encode({"inputs": inputs})), b"", CARS, 10)


def test_columns_of_different_types() -> None:
    assert _point(wt=("FP32", 2.5)).tolist() == [[0, 2.5, 1]]
    assert _point(gear=("BOOL", True)).tolist() == [[2, 2, 1]]
    assert _point(gear=("INT8", 1)).tolist() == [[1, 2, 1]]  # the codes of a pandas categorical
    assert _point(cyl=("FP64", 2)).tolist() == [[0, 2, 2]]


def test_integers_that_may_be_words_or_codes_are_refused() -> None:
    """Nobody may get the answer for 8 cylinders who asked for 2."""
    with pytest.raises(Problem, match="the words '4', '6', '8' are numbers themselves") as caught:
        _point(cyl=("INT64", 2))
    assert caught.value.detail.endswith("send them as BYTES, or their codes, which count from 0, "
                                        "as FP64")  # fmt: skip
