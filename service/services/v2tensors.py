"""The tensors of the Open Inference Protocol v2, in JSON and in the binary extension."""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, UnsetType
from numpy.typing import NDArray

from service.model import FloatArray
from service.services.errors import malformed
from service.services.writing import array_pieces

DATATYPES = {name: np.dtype(code) for name, code in (("FP64", "<f8"), ("FP32", "<f4"))}

WORDS = "BYTES"
"""The datatype of words, for an input that is a categorical feature."""

_ROWS = 8192
_encode = msgspec.json.Encoder().encode
_flat = msgspec.json.Decoder(list[float])
_nested = msgspec.json.Decoder(list[list[float]])
_words = msgspec.json.Decoder(list[str | list[str]])
_LENGTH = struct.Struct("<I")
_IS_NESTED = re.compile(rb"\s*\[\s*\[").match

Shape = Annotated[list[Annotated[int, Meta(ge=0, le=2**31)]], Meta(max_length=2)]
"""[n, d] or [n]: nothing else is supported."""


class Parameters(msgspec.Struct):
    """Parameters of a request, an input or an output; unknown ones are ignored."""

    binary_data_size: Annotated[
        int | None, Meta(description="of an input: its bytes after the JSON")
    ] = None
    binary_data: Annotated[
        bool | None, Meta(description="of an output: return it as bytes after the JSON")
    ] = None
    binary_data_output: Annotated[
        bool, Meta(description="of a request: the default of every output's `binary_data`")
    ] = False
    noise: Annotated[
        bool, Meta(description="of a request; false: the variance of the latent function")
    ] = True
    classification: Annotated[int | None, Meta(description="unsupported")] = None
    shared_memory_region: Annotated[str | None, Meta(description="unsupported")] = None


_NUMBERS = Meta(
    description="in row-major order, flat or nested; required unless bytes follow the JSON",
    extra_json_schema={"type": "array", "items": {}},
)


class Tensor(msgspec.Struct):
    """An input tensor of a request."""

    name: Annotated[str, Meta(description="`x` for all features, or the name of one feature")]
    shape: Annotated[Shape, Meta(description="[n, d] for `x`; [n] or [n, 1] for one feature")]
    datatype: Annotated[
        str,
        Meta(
            description="`BYTES` holds the words of a categorical feature, and numbers their codes",
            extra_json_schema={"enum": [*DATATYPES, WORDS]},
        ),
    ]
    parameters: Parameters = msgspec.field(default_factory=Parameters)
    data: Annotated[Raw, _NUMBERS] | UnsetType = UNSET


class RequestedOutput(msgspec.Struct):
    """An output that the answer should contain."""

    name: Annotated[
        str, Meta(description="`mean`, `variance`, `mean_gradient` or `variance_gradient`")
    ]
    parameters: Parameters = msgspec.field(default_factory=Parameters)


class Inference(msgspec.Struct):
    """An inference request."""

    inputs: list[Tensor]
    id: Annotated[str, Meta(description="returned in the answer; default: the request id")] = ""
    parameters: Parameters = msgspec.field(default_factory=Parameters)
    outputs: Annotated[
        list[RequestedOutput] | None, Meta(description="default: `mean` and `variance`")
    ] = None


_inference = msgspec.json.Decoder(Inference)


def read_inference(text: bytes) -> Inference:
    """Read the JSON part of a request.

    Raises `Problem`: 400, with the path of what is wrong.
    """
    try:
        return _inference.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"the inference request cannot be read: {error}") from None


def read_arrays(inputs: list[Tensor], raw: bytes | mmap.mmap) -> dict[str, NDArray[Any]]:
    """Return each input as an array of its shape; `raw` holds the binary ones one by one.

    Words are an array of objects.

    Raises `Problem`: 400 for a wrong datatype, shape or length.
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


def _refuse_impossible(tensor: Tensor, before: dict[str, NDArray[Any]]) -> None:
    name = tensor.name[:80]
    if tensor.datatype not in DATATYPES and tensor.datatype != WORDS:
        raise malformed(
            f"input {name}: unsupported datatype {tensor.datatype[:20]}; supported: FP32, FP64"
        )
    if tensor.parameters.shared_memory_region is not None:
        raise malformed(f"input {name}: shared memory is unsupported")
    if tensor.name in before:
        raise malformed(f"input {name} is given twice")


def _from_json(tensor: Tensor) -> NDArray[Any]:
    if isinstance(tensor.data, UnsetType):
        raise malformed(f"input {tensor.name[:80]} has neither data nor binary_data_size")
    words = tensor.datatype == WORDS
    values = _words_of(tensor, tensor.data) if words else _numbers(tensor, tensor.data)
    if values.size != math.prod(tensor.shape):
        what = "words" if words else "numbers"
        raise malformed(
            f"input {tensor.name[:80]}: {values.size} {what} do not fill shape {tensor.shape}"
        )
    if words:
        return values.reshape(tensor.shape)
    with np.errstate(over="ignore"):  # too large for FP32: refused as not finite
        return values.astype(DATATYPES[tensor.datatype]).reshape(tensor.shape)


def _numbers(tensor: Tensor, data: Raw) -> NDArray[Any]:
    try:
        if not _IS_NESTED(data):
            return np.array(_flat.decode(data))
        rows = _nested.decode(data)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`$", "`data")
        raise malformed(f"input {tensor.name[:80]}: {reason}") from None
    if len({len(row) for row in rows}) > 1:
        raise malformed(f"input {tensor.name[:80]}: the rows of data differ in length")
    values = np.array(rows)
    if len(tensor.shape) == 2 and list(values.shape) != tensor.shape:
        nested = f"data is nested as {list(values.shape)}, not as shape {tensor.shape}"
        raise malformed(f"input {tensor.name[:80]}: {nested}")
    return values


def _words_of(tensor: Tensor, data: Raw) -> NDArray[Any]:
    try:
        given = _words.decode(data)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`$", "`data")
        raise malformed(f"input {tensor.name[:80]}: {reason}") from None
    return np.array([w for row in given for w in ([row] if isinstance(row, str) else row)], object)


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
        detail = f"input {tensor.name[:80]}: the bytes are not words, each after its length"
        raise malformed(f"{detail} in 4 bytes, as UTF-8") from None
    if len(words) != math.prod(tensor.shape):
        raise malformed(
            f"input {tensor.name[:80]}: {len(words)} words do not fill shape {tensor.shape}"
        )
    return np.array(words, object).reshape(tensor.shape)


def _from_bytes(tensor: Tensor, raw: bytes | mmap.mmap, start: int, size: int) -> NDArray[Any]:
    dtype = DATATYPES.get(tensor.datatype)
    want = math.prod(tensor.shape) * dtype.itemsize if dtype else size
    if size != want:
        raise malformed(
            f"input {tensor.name[:80]}: binary_data_size is {size}, "
            f"shape {tensor.shape} of {tensor.datatype} has {want} bytes"
        )
    if start + size > len(raw):
        raise malformed(f"the body ends within input {tensor.name[:80]}")
    if dtype is None:
        return _words_from_bytes(tensor, raw[start : start + size])
    return np.ndarray(tensor.shape, dtype, raw, offset=start)


@dataclass(frozen=True, slots=True)
class Output:
    """An output tensor: its values, shape (n, k), and whether they are sent as bytes."""

    name: str
    values: FloatArray
    binary: bool


def write(head: dict[str, str], outputs: list[Output]) -> tuple[int | None, Iterator[bytes]]:
    """Return the length of the answer's JSON, if bytes follow it, and the answer in pieces."""
    pieces = _json_pieces(head, outputs)
    if not any(output.binary for output in outputs):
        return None, pieces
    text = b"".join(pieces)
    return len(text), _with_bytes(text, [output for output in outputs if output.binary])


def _json_pieces(head: dict[str, str], outputs: list[Output]) -> Iterator[bytes]:
    yield _encode(head)[:-1] + b',"outputs":['
    for i, output in enumerate(outputs):
        shape = output.values.shape
        described: dict[str, Any] = {"name": output.name, "datatype": "FP64", "shape": shape}
        if output.binary:
            described["parameters"] = {"binary_data_size": output.values.size * 8}
        yield (b"," if i else b"") + _encode(described)[:-1]
        if not output.binary:
            yield b',"data":'
            yield from array_pieces(output.values.reshape(-1))
        yield b"}"
    yield b"]}"


def _with_bytes(text: bytes, outputs: list[Output]) -> Iterator[bytes]:
    yield text
    for output in outputs:
        for start in range(0, len(output.values), _ROWS):
            yield output.values[start : start + _ROWS].astype("<f8").tobytes()
