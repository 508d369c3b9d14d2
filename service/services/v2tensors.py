"""The messages of the Open Inference Protocol v2: requests as types, answers as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, UnsetType

from service.model import BoolArray, FloatArray
from service.services.errors import malformed
from service.services.jsontext import reason, refuse_malformed
from service.services.writing import array_pieces

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (8, 4, 2, 1)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (8, 4, 2, 1)},
    "BOOL": np.dtype("u1"),
}
"""The datatypes of numbers, as bytes have them; float64 holds them exactly, INT64 up to 2**53."""

WORDS = "BYTES"
"""The datatype of words, for an input that is a categorical feature."""

_ROWS = 8192
_encode = msgspec.json.Encoder().encode

Shape = Annotated[list[Annotated[int, Meta(ge=0, le=2**31)]], Meta(max_length=2)]
"""[n, d] or [n]: nothing else is supported."""


class Parameters(msgspec.Struct):
    """Parameters of a request, an input or an output; unknown ones are ignored."""

    binary_data_size: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="of an input: its bytes after the JSON"),
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
    content_type: Annotated[
        str | None,
        Meta(description="of an input with words; `pd_json` or `base64`: how they are encoded"),
    ] = None
    classification: Annotated[int | None, Meta(description="unsupported")] = None
    shared_memory_region: Annotated[str | None, Meta(description="unsupported")] = None


_NONE_GIVEN = Parameters()


class WithParameters(msgspec.Struct, kw_only=True):
    """What may have parameters; some clients send null where they have none."""

    given: Parameters | None = msgspec.field(default=None, name="parameters")

    @property
    def parameters(self) -> Parameters:
        """Those that are given, or the defaults."""
        return self.given or _NONE_GIVEN


_NUMBERS = Meta(
    description="in row-major order, flat or nested; required unless bytes follow the JSON",
    extra_json_schema={"type": "array", "items": {}},
)


class Tensor(WithParameters):
    """An input tensor of a request."""

    name: Annotated[str, Meta(description="`x` for all features, or the name of one feature")]
    shape: Annotated[Shape, Meta(description="[n, d] for `x`; [n] or [n, 1] for one feature")]
    datatype: Annotated[
        str,
        Meta(
            description="a number or truth value; `BYTES` holds the words of a categorical "
            "feature, and numbers their codes",
            extra_json_schema={"enum": [*DATATYPES, WORDS]},
        ),
    ]
    data: Annotated[Raw, _NUMBERS] | UnsetType = UNSET


class RequestedOutput(WithParameters):
    """An output that the answer should contain."""

    name: Annotated[
        str,
        Meta(
            description="`mean`, `variance`, `extrapolated` (whether a point is outside the "
            "training range), `mean_gradient` or `variance_gradient`"
        ),
    ]


class Inference(WithParameters):
    """An inference request."""

    inputs: list[Tensor]
    id: Annotated[
        str | None, Meta(description="returned in the answer; default: the request id")
    ] = None
    outputs: Annotated[
        list[RequestedOutput] | None, Meta(description="default: `mean` and `variance`")
    ] = None


_inference = msgspec.json.Decoder(Inference)


def read_inference(text: bytes) -> Inference:
    """Read the JSON part of a request.

    Raises `Problem`: 400, with the path of what is wrong.
    """
    try:
        inference = _inference.decode(text)
        if not text.isascii():
            text.decode()  # the data are decoded later, when their place in the text is not known
        return inference
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse_malformed(text)
        raise malformed(f"the inference request cannot be read: {reason(error)}") from None


@dataclass(frozen=True, slots=True)
class Output:
    """An output tensor: its values, shape (n, k), and whether they are sent as bytes.

    Values are FP64, or BOOL where they are truth values.
    """

    name: str
    values: FloatArray | BoolArray
    binary: bool

    @property
    def is_bool(self) -> bool:
        """Whether the datatype is BOOL."""
        return self.values.dtype == np.bool_


def write(head: dict[str, Any], outputs: list[Output]) -> tuple[int | None, Iterator[bytes]]:
    """Return the length of the answer's JSON, if bytes follow it, and the answer in pieces."""
    pieces = _json_pieces(head, outputs)
    if not any(output.binary for output in outputs):
        return None, pieces
    text = b"".join(pieces)
    return len(text), _with_bytes(text, [output for output in outputs if output.binary])


def _json_pieces(head: dict[str, Any], outputs: list[Output]) -> Iterator[bytes]:
    yield _encode(head)[:-1] + b',"outputs":['
    for i, output in enumerate(outputs):
        shape = output.values.shape
        datatype = "BOOL" if output.is_bool else "FP64"
        described: dict[str, Any] = {"name": output.name, "datatype": datatype, "shape": shape}
        if output.binary:
            size = output.values.size * DATATYPES[datatype].itemsize
            described["parameters"] = {"binary_data_size": size}
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
            piece = output.values[start : start + _ROWS]
            yield piece.astype("u1" if output.is_bool else "<f8").tobytes()
