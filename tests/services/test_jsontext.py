"""Text that is no JSON: what is wrong, where, and what to do, however the text is read."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from service.services.errors import Problem
from service.services.features import Features
from service.services.jsonpoints import read_json
from service.services.parsing import LARGE
from service.services.reading import Reader
from service.services.trainingjson import table_of_json

FEATURES = Features(("a", "b"))

STARTS = {
    b"": "it is empty",
    b" \r\n": "it is empty",
    b"\xef\xbb\xbf{}": "it begins with a byte order mark",
    '{"a":1}'.encode("utf-16"): "it is UTF-16: send UTF-8",
    gzip.compress(b"{}", mtime=0): "it looks gzipped: send 'Content-Encoding: gzip'",
    b"PK\x03\x04 and so on": "it is a zip file",
    b"\x93NUMPY\x01\x00": "it is a .npy file",
    b"[1": "it ends too early",
    b"[" * 10_000: "nested too deeply",
}


@pytest.mark.parametrize("body", STARTS)
def test_bodies_that_are_something_else(body: bytes) -> None:
    for problem in (_refused(read_json, body, FEATURES), _refused(table_of_json, body)):
        assert problem.status == 400
        assert STARTS[body] in problem.detail


FAULTS = {
    b"NaN": "(byte {at}); NaN and Infinity are not valid JSON",
    b"None": "(byte {at}); JSON writes true, false and null",
    b"1 2": "expected ',' or ']' (byte {at})",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_large_and_small_bodies_have_the_same_sentence(fault: bytes) -> None:
    start = json.dumps({"points": [[1.5, 2.5]] * (LARGE // 8)}).encode()[:-2]
    for opening in (start, b'{"points": [[1.5, 2.5]'):
        body = opening + b",[3," + fault + b"]]}"
        at = body.index(fault) + fault.index(fault.split()[-1])
        detail = _refused(_read_points, body).detail
        assert detail.startswith("the body is not JSON: ")
        assert detail.endswith(FAULTS[fault].format(at=at))


def test_faults_around_the_rows_of_a_large_body() -> None:
    rows = json.dumps([[1.5, 2.5]] * (LARGE // 8)).encode()
    for before, after in ((b'{"noise": None, ', b"}"), (b"{", b', "noise": None}')):
        body = before + b'"points": ' + rows + after
        detail = _refused(_read_points, body).detail
        assert detail.endswith(f"(byte {body.index(b'None')}); JSON writes true, false and null")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "9" * 5000])
def test_numbers_that_float64_cannot_hold(number: str) -> None:
    body = f'{{"points": [[1, {number}]]}}'.encode()
    problem = _refused(read_json, body, FEATURES)
    assert problem.status == 422
    assert "outside the range of float64" in problem.detail


def test_text_that_is_no_json_comes_before_its_numbers() -> None:
    problem = _refused(read_json, b'{"points": [[1e999, NaN]]}', FEATURES)
    assert (problem.status, "(byte 20); NaN" in problem.detail) == (400, True)


def _read_points(body: bytes) -> None:
    reader = Reader(FEATURES, 1024, 1_000_000, 16 << 20, 4 << 20)
    reader.json(io.BytesIO(body), [])


def _refused(read: object, *arguments: object) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*arguments)  # type: ignore[operator]
    return caught.value
