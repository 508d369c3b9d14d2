"""A body that is not JSON is refused with the same sentence in every protocol."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

AT = 120
"""The byte at which the fault stands in every body."""

BODIES: dict[str, str] = {
    "/predict": '{"points": [[-20, 181, 500, @]]}',
    "/Evaluate": '{"name": "quakes", "input": [[-20, 181, 500, @]]}',
    "/Gradient": '{"name": "quakes", "input": [[-20, 181, 500, @]], "sens": [1, 1]}',
    "/InputSizes": '{"name": "quakes", "config": {"n": @}}',
    "/v2/models/quakes/infer": '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", '
    '"data": [-20, 181, 500, @]}]}',
}

FAULTS = {
    "NaN": "invalid character (byte 120); NaN and Infinity are not valid JSON",
    "-Infinity": "invalid character (byte 121); NaN and Infinity are not valid JSON",
    "nan": "invalid character (byte 120); NaN and Infinity are not valid JSON",
    "Inf": "invalid character (byte 120); NaN and Infinity are not valid JSON",
    "True": "invalid character (byte 120); JSON writes true, false and null",
    "'4'": 'invalid character (byte 120); JSON has double quotes, as in "name"',
    "1,": "trailing comma in array (byte 122)",
    "1.": "invalid number (byte 122)",
    "1 2": "expected ',' or ']' (byte 122)",
    '"\x01"': "invalid character (byte 121)",
    '"\udcff"': "it is not UTF-8 (byte 121)",
}


def _with(fault: str, body: str) -> bytes:
    """Return the body with the fault at byte `AT`."""
    start, _, rest = body.partition("@")
    return ("{" + " " * (AT - len(start)) + start[1:] + fault + rest).encode(
        "utf-8", "surrogateescape"
    )


def _sentence(said: httpx.Response) -> str:
    document = said.json()
    error: Any = document.get("error", document)
    sentence: str = error if isinstance(error, str) else error.get("detail") or error["message"]
    return sentence


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", BODIES)
def test_the_same_sentence(http: httpx.Client, path: str, fault: str) -> None:
    said = http.post(path, content=_with(fault, BODIES[path]))
    assert said.status_code == 400
    sentence = FAULTS[fault]
    if "config" in BODIES[path]:
        sentence = sentence.replace("in array", "in object").replace("']'", "'}'")
    assert _sentence(said) == f"the body is not JSON: {sentence}"
