"""The worst bodies that the default limits allow, one of each kind, and some beyond them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from service.settings import Settings

MiB = 1 << 20
LIMITS = Settings()
MOST, PARSED, AT_ONCE = LIMITS.max_json_bytes, LIMITS.max_parsed_bytes, LIMITS.threads

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_NPY = "application/x-npy"
_PARTS = "multipart/form-data; boundary=edge"
_NAMES = "lat", "long", "depth", "stations"
_FIELDS = b"lat=0&long=0&depth=0&stations=0"
_ROWS = b'{"points":['
_HEADER = b"lat,long,depth,stations\n"


@dataclass(frozen=True)
class Worst:
    """A request, the status that it gets, and how many of it are sent at once, in turn."""

    path: str
    media_type: str
    status: int
    body: Callable[[], bytes]
    accept: str = _NPY
    headers: dict[str, str] = field(default_factory=dict)
    times: tuple[int, ...] = (1, AT_ONCE)


def filled(start: bytes, repeated: bytes, end: bytes, size: int) -> bytes:
    """The longest body of this kind within `size` bytes."""
    count = (size - len(start) - len(end)) // len(repeated)
    return start + repeated * count + end


def _v2(size: int) -> bytes:
    n = (size - 200) // 8
    head = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[%d,4],"data":[' % n
    return head + b"0,0,0,0," * (n - 1) + b"0,0,0,0]}]}"


def _call(size: int) -> bytes:
    n = (size - 200) // 8
    return b'{"name":"sum","config":{"n":%d},"input":[[' % n + b"0,0,0,0," * (n - 1) + b"0,0,0,0]]}"


def _array(points: int) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ones((points, 4)))
    return out.getvalue()


_BINARY = 1_000_000
_INFERENCE = b'{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","datatype":"FP64",'
_INFERENCE += b'"shape":[%d,4],"parameters":{"binary_data_size":%d}}]}' % (_BINARY, _BINARY * 32)


def _part(head: str, content: bytes) -> bytes:
    return f"--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


def _parts(size: int) -> bytes:
    """As many fields as a form may have, each as long as all of them together may be."""
    digits = b"1".rjust(size // 1000 - 1, b"0")
    return b"".join(_part(f"name={_NAMES[i % 4]}", digits) for i in range(1000)) + b"--edge--\r\n"


def _file(content: bytes) -> bytes:
    return _part('name=file; filename="a.csv"', content) + b"--edge--\r\n"


PREDICTIONS = {
    "rows": Worst(
        "/predict", _JSON, 200, lambda: filled(_ROWS, b"[0,0,0,0],", b"[0,0,0,0]]}", MOST)
    ),
    "lists": Worst("/predict", _JSON, 422, lambda: filled(b"[", b"[],", b"[]]", PARSED)),
    "form": Worst(  # takes 2 s to read
        "/predict", _FORM, 200, lambda: filled(_FIELDS, b"&" + _FIELDS, b"", PARSED), times=(2,)
    ),
    "too much": Worst("/predict", _JSON, 413, lambda: filled(_ROWS, b"[0,0,0,0],", b"", 44 * MiB)),
    "v2": Worst("/v2/models/sum/infer", _JSON, 200, lambda: _v2(PARSED)),
    "v2 binary": Worst(
        "/v2/models/sum/infer",
        "application/octet-stream",
        200,
        lambda: _INFERENCE + _array(_BINARY)[-_BINARY * 32 :],
        headers={"Inference-Header-Content-Length": str(len(_INFERENCE))},
    ),
    "um-bridge": Worst("/Evaluate", _JSON, 200, lambda: _call(PARSED)),
    "array": Worst("/predict", _NPY, 200, lambda: _array(_BINARY)),
    "array, as JSON": Worst("/predict", _NPY, 200, lambda: _array(200_000), accept=_JSON),
    "fields": Worst("/predict", _PARTS, 200, lambda: _parts(PARSED)),
    "more fields": Worst("/predict", _PARTS, 413, lambda: _parts(64 * MiB)),
    "file": Worst("/predict", _PARTS, 200, lambda: _file(_HEADER + b"1,2,3,4\n" * 100_000)),
    "bad rows": Worst(
        "/predict?on_bad_row=nan",
        "text/csv",
        200,
        lambda: _HEADER + b"x,2,3,4\n" * 60_000,
        accept=_JSON,
    ),
}
"""For a server with the toy model `Sum`."""


def _model_file() -> bytes:
    out = io.BytesIO()
    np.savez(out, X=np.ones((4000, 4000)))
    return out.getvalue()


MODELS = {
    "training table": Worst(
        "/train?target=y",
        "text/csv",
        413,
        lambda: filled(b"a,b,y\n", b"10,10,10\n", b"", MOST),
        headers={"Authorization": "Bearer secret"},
    ),
    "most cells": Worst(
        "/train?target=y",
        "text/csv",
        422,
        lambda: b"a,b,y\n" + b"10,10,10\n" * 499_999,
        headers={"Authorization": "Bearer secret"},
        times=(2,),
    ),
    "training JSON": Worst(
        "/train",
        _JSON,
        422,
        lambda: b'{"data":{"a":[%s1],"y":[%s1]}}' % ((b"10," * (PARSED // 6 - 20),) * 2),
        headers={"Authorization": "Bearer secret"},
    ),
    "model file": Worst(
        "/models",
        "application/octet-stream",
        422,
        _model_file,
        headers={"Authorization": "Bearer secret"},
    ),
}
"""For a server with the bundled model, a queue and the token ``secret``."""
