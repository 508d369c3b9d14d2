"""The data of the Open Inference Protocol's input tensors: numbers and words, in JSON or bytes."""

from __future__ import annotations

import base64
import math
import mmap
import re
import struct
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, UnsetType
from numpy.typing import NDArray

from service.services.errors import Problem, malformed
from service.services.jsontext import reason
from service.services.v2tensors import DATATYPES, WORDS, Tensor

EXACT = 2**53
"""Up to here, float64 holds every integer."""

_LENGTH = struct.Struct("<I")
_IS_NESTED = re.compile(rb"\s*\[\s*\[").match
_floats = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[list[float]])
_integers = msgspec.json.Decoder(list[int | float]), msgspec.json.Decoder(list[list[int | float]])
_booleans = msgspec.json.Decoder(list[bool | int]), msgspec.json.Decoder(list[list[bool | int]])
_words = msgspec.json.Decoder(list[str | list[str]])


def read_arrays(inputs: list[Tensor], raw: bytes | mmap.mmap) -> dict[str, NDArray[Any]]:
    """Return each input as an array of its shape; `raw` holds the binary ones one by one.

    Words are an array of objects.

    Raises `Problem`: 400 for a wrong datatype, shape or length, and for a number that float64
    cannot hold.
    """
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for tensor in inputs:
        _refuse_impossible(tensor, arrays)
        size = tensor.parameters.binary_data_size
        if size is None:
            arrays[tensor.name] = _from_json(tensor)
        else:
            arrays[tensor.name] = _from_bytes(tensor, raw, start, size)
            start += size
    if start != len(raw):
        raise malformed(f"{len(raw)} bytes follow the JSON, but the inputs account for {start}")
    return arrays


def wrong_input(tensor: Tensor, detail: str) -> Problem:
    """Return a 400 for an input tensor."""
    return malformed(f"input {tensor.name[:80]}: {detail}")


def _refuse_impossible(tensor: Tensor, before: dict[str, NDArray[Any]]) -> None:
    if tensor.datatype not in DATATYPES and tensor.datatype != WORDS:
        known = ", ".join(DATATYPES)
        detail = f"unsupported datatype {tensor.datatype[:20]}; supported: {known}"
        raise wrong_input(tensor, detail)
    if tensor.parameters.shared_memory_region is not None:
        raise wrong_input(tensor, "shared memory is unsupported")
    if tensor.name in before:
        raise malformed(f"input {tensor.name[:80]} is given twice")


def _from_json(tensor: Tensor) -> NDArray[Any]:
    if isinstance(tensor.data, UnsetType):
        raise malformed(f"input {tensor.name[:80]} has neither data nor binary_data_size")
    if tensor.datatype == WORDS:
        return _filled(tensor, _words_of(tensor, tensor.data))
    kind = DATATYPES[tensor.datatype].kind
    if tensor.datatype == "BOOL":
        values = _numbers(tensor, tensor.data, _booleans)
        _refuse_outside(tensor, values, 0, 1)
    elif kind == "f":
        with np.errstate(over="ignore"):  # too large for FP32: refused as not finite
            values = _numbers(tensor, tensor.data, _floats).astype(DATATYPES[tensor.datatype])
    else:
        values = _integral(tensor, _numbers(tensor, tensor.data, _integers))
    return _filled(tensor, values)


def _filled(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    if values.size != math.prod(tensor.shape):
        what = "words" if tensor.datatype == WORDS else "numbers"
        raise wrong_input(tensor, f"{values.size} {what} do not fill shape {tensor.shape}")
    return values.reshape(tensor.shape)


def _numbers(tensor: Tensor, data: Raw, decoders: tuple[Any, Any]) -> NDArray[Any]:
    """Return the values in their own type; integers beyond 64 bits are an array of objects."""
    flat, nested = decoders
    try:
        if not _IS_NESTED(data):
            return np.array(flat.decode(data))
        rows = nested.decode(data)
    except msgspec.ValidationError as error:
        raise wrong_input(tensor, reason(error).replace("`$", "`data")) from None
    if len({len(row) for row in rows}) > 1:
        raise wrong_input(tensor, "the rows of data differ in length")
    values = np.array(rows)
    if len(tensor.shape) == 2 and list(values.shape) != tensor.shape:
        nested_as = f"data is nested as {list(values.shape)}, not as shape {tensor.shape}"
        raise wrong_input(tensor, nested_as)
    return values


def _integral(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Return integers, which JSON may write as 1 or 1.0, if the datatype has them."""
    if values.dtype.kind == "f":
        fractions = values[values != np.rint(values)]
        if fractions.size:
            detail = f"{fractions.flat[0]} is not an integer, but the datatype is "
            raise wrong_input(tensor, f"{detail}{tensor.datatype}: send FP64")
    limits = np.iinfo(DATATYPES[tensor.datatype])
    _refuse_outside(tensor, values, int(limits.min), int(limits.max))
    _refuse_inexact(tensor, values)
    return values


def _refuse_outside(tensor: Tensor, values: NDArray[Any], low: int, high: int) -> None:
    for value in _extremes(values):
        if not low <= value <= high:
            given = "a number" if values.dtype == object else value  # it may have many digits
            detail = f"{given} is outside {tensor.datatype}, which is {low} to {high}"
            raise wrong_input(tensor, detail)


def _refuse_inexact(tensor: Tensor, values: NDArray[Any]) -> None:
    for value in _extremes(values):
        # 2**53 in an array of float64 may have been 2**53 + 1 in JSON
        if abs(int(value)) > EXACT - (values.dtype.kind == "f"):
            raise wrong_input(
                tensor,
                f"{int(value)} is beyond 2**53 = {EXACT}, up to which float64 holds every "
                "integer: send FP64 to have it rounded",
            )


def _extremes(values: NDArray[Any]) -> tuple[Any, ...]:
    return (values.min(), values.max()) if values.size else ()


def _words_of(tensor: Tensor, data: Raw) -> NDArray[Any]:
    try:
        given = _words.decode(data)
    except msgspec.ValidationError as error:
        raise wrong_input(tensor, reason(error).replace("`$", "`data")) from None
    words = [w for row in given for w in ([row] if isinstance(row, str) else row)]
    return _decoded(tensor, words)


def _decoded(tensor: Tensor, words: list[str]) -> NDArray[Any]:
    """Return words as they are after MLServer's codec: pandas columns of objects hold JSON."""
    codec = tensor.parameters.content_type
    values: list[Any] = words
    try:
        if codec == "pd_json":
            values = [msgspec.json.decode(word) for word in words]
        elif codec == "base64":
            values = [base64.b64decode(word, validate=True).decode() for word in words]
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise wrong_input(tensor, f"the words are not {codec}, as content_type says") from None
    return np.fromiter(values, object, len(values))


def _words_from_bytes(tensor: Tensor, data: bytes) -> NDArray[Any]:
    """Read words of the binary extension: each is 4 bytes of length, and as many of UTF-8."""
    words: list[str] = []
    at = 0
    try:
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size + length
            if at > len(data):
                raise ValueError
            words.append(data[at - length : at].decode())
    except (struct.error, ValueError):
        detail = "the bytes are not words, each after its length in 4 bytes, as UTF-8"
        raise wrong_input(tensor, detail) from None
    return _filled(tensor, _decoded(tensor, words))


def _from_bytes(tensor: Tensor, raw: bytes | mmap.mmap, start: int, size: int) -> NDArray[Any]:
    dtype = DATATYPES.get(tensor.datatype)
    want = math.prod(tensor.shape) * dtype.itemsize if dtype else size
    if size != want:
        raise wrong_input(
            tensor,
            f"binary_data_size is {size}, "
            f"shape {tensor.shape} of {tensor.datatype} has {want} bytes",
        )
    if start + size > len(raw):
        raise malformed(f"the body ends within input {tensor.name[:80]}")
    if dtype is None:
        return _words_from_bytes(tensor, raw[start : start + size])
    values: NDArray[Any] = np.ndarray(tensor.shape, dtype, raw, offset=start)
    if tensor.datatype == "BOOL":
        _refuse_outside(tensor, values, 0, 1)
    elif tensor.datatype.endswith("INT64"):
        _refuse_inexact(tensor, values)
    return values
