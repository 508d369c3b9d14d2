"""The answers of the small models, whose numbers must be finite."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from service.gpr import GPR
from service.model import FloatArray, Model
from service.services import writing
from service.services.chunks import Source
from service.services.features import features_of
from service.services.negotiation import CSV, JSON, NDJSON, NPY, OFFERED
from service.services.options import Options
from service.services.prediction import Limits
from service.services.reading import Reader
from tests.fuzz.running import Wrong

LIMITS = Limits(covariance_points=30, sample_values=300)
MOST_POINTS = 100
ROWS = 4
"""Rows in a chunk, so that small tables have several."""


def variant(data: bytes) -> int:
    """Return a number that decides how an input is read: the same for the same input."""
    return zlib.crc32(data)


def reader(model: Model) -> Reader:
    """A reader of small requests."""
    return Reader(features_of(model), ROWS, MOST_POINTS, 1 << 20, 1 << 20)


def predict(model: Model, X: FloatArray, noise: bool) -> FloatArray:
    return model.predict(X, noise=noise)


def answer(model: GPR, source: Source, options: Options, number: int) -> str:
    """Write the answer in one of the formats, and return which."""
    media_type = OFFERED[number % len(OFFERED)]
    body = b"".join(writing.pieces(model, source, options, media_type, predict, LIMITS))
    check(media_type, body, bad_rows=options.on_bad_row == "nan")
    return media_type


def check(media_type: str, body: bytes, *, bad_rows: bool = False) -> None:
    """Raise `Wrong` unless an answer can be read and its numbers are finite."""
    if media_type in (JSON, NDJSON):
        for text in [body] if media_type == JSON else body.splitlines():
            document = msgspec.json.decode(text)
            if not bad_rows:
                _check_document(document)
    elif media_type == NPY and not bad_rows:
        if not np.isfinite(np.load(io.BytesIO(body))).all():
            raise Wrong("an array has a number that is not finite")
    elif media_type == CSV and not bad_rows:
        _check_table(body)


def _check_table(body: bytes) -> None:
    for line in body.splitlines():
        cells = line.decode("utf-8", "replace").replace(";", ",").replace("\t", ",").split(",")
        if {"nan", "inf", "-inf"} & set(cells[-2:]):
            raise Wrong(f"a row has a number that is not finite: {line!r}")


def _check_document(value: Any) -> None:
    """JSON has no NaN, but a writer may turn one into null."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping):
            stack += each.values()
        elif isinstance(each, list):
            if None in each:
                raise Wrong("a list has null, which stands for NaN")
            stack += each
        elif isinstance(each, float) and not math.isfinite(each):
            raise Wrong("a number is not finite")
