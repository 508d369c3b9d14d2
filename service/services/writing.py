"""Answers in every format: from points and predictions to bytes, piece by piece."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
from msgspec import Meta

from service.model import BoolArray, FloatArray, Model
from service.services import arrays, negotiation
from service.services.chunks import Answered, Chunk, Source
from service.services.errors import unusable
from service.services.features import Features, features_of, listed
from service.services.options import Options
from service.services.prediction import (
    Derive,
    Limits,
    Predict,
    answered,
    at_once,
    column_names,
    covariance,
    extrapolated,
    refuse_covariance_as,
    refuse_large_covariance,
    refuse_many_samples,
)

_encode = msgspec.json.Encoder().encode

_PIECE = 8192
_FEW = 256
"""Points that are answered in one piece."""

_IN_MEMORY = 4 << 20
_LISTED_AT_ONCE = 1 << 16
_LEAST_ALIKE, _MOST_ALIKE = 1e-4, 1e16
"""Between these, JSON's encoder writes a number as `repr` does."""


@dataclass(slots=True)
class Layout:
    """The columns of an answer.

    Attributes
    ----------
    columns : names of the input's columns, repeated in a table
    names : names of the k numbers of each point
    features : of the model
    delimiter, commas : of a table: between its cells, and whether its decimals have a comma
    mark, reasons : whether a table has a column `extrapolated`, and one `error`
    shape : the leading shape; None while the number of rows is unknown
    samples : how many of the last columns are draws
    gradient : whether derivatives are among the columns
    covariance : shape (n, n), of all points jointly
    """

    columns: list[str]
    names: list[str]
    features: Features
    shape: tuple[int, ...] | None
    delimiter: str = ","
    commas: bool = False
    mark: bool = False
    reasons: bool = False
    gradient: bool = False
    samples: int = 0
    covariance: FloatArray | None = None

    @property
    def added(self) -> list[str]:
        """The names of the columns that a table gets besides the input's."""
        return [*self.names, *(["extrapolated"] * self.mark), *(["error"] * self.reasons)]


def pieces(
    model: Model,
    source: Source,
    options: Options,
    media_type: str,
    predict: Predict,
    limits: Limits,
    derive: Derive = at_once,
) -> Iterator[bytes]:
    """Return the answer's bytes; what can be refused is refused before the first one.

    Raises `Problem`: 413 and 422 for options that the points or the model do not allow.
    """
    shape, known = source.shape, math.prod(source.shape or ())
    if shape is not None and 0 < known <= _FEW and media_type == negotiation.JSON and options.plain:
        return iter((_predicted(model, shape, source.chunks, options, predict),))
    refuse_many_samples(model, options, known, limits)
    chunks, K = source.chunks, None
    if options.covariance:
        refuse_covariance_as(media_type)
        whole = _whole(chunks, limits)
        K = covariance(model, np.concatenate([chunk.X for chunk in whole]), options)
        chunks = iter(whole)
    layout = layout_of(source, options, features_of(model), K)
    return written(layout, answered(model, chunks, options, predict, limits, derive), media_type)


def whole_if_few(pieces: Iterator[bytes], points: int | None) -> bytes | Iterator[bytes]:
    """Join the answer for few points, so that its length is known before it is sent."""
    return b"".join(pieces) if points is not None and points <= _FEW else pieces


def _predicted(
    model: Model,
    shape: tuple[int, ...],
    chunks: Iterator[Chunk],
    options: Options,
    predict: Predict,
) -> bytes:
    """Return the JSON answer for few points."""
    X = np.concatenate([chunk.X for chunk in chunks])
    return few_points(predict(model, X, options.noise), extrapolated(model, X), shape)


def layout_of(
    source: Source,
    options: Options,
    features: Features,
    covariance: FloatArray | None = None,
) -> Layout:
    """Return the columns of the answer to these options."""
    return Layout(
        source.columns,
        column_names(features.names, options),
        features,
        source.shape,
        source.delimiter,
        source.commas,
        mark=options.extrapolated,
        reasons=options.on_bad_row == "nan",
        gradient=options.gradient,
        samples=options.samples,
        covariance=covariance,
    )


def written(layout: Layout, answers: Iterator[Answered], media_type: str) -> Iterator[bytes]:
    """Return the answer's bytes in the form that was asked for; the first piece is ready.

    Raises `Problem`: 422 for a table that has columns of the answer already.
    """
    if media_type == negotiation.CSV:
        refuse_answered(layout)
    answer = _WRITERS[media_type](layout, answers)
    # Computed now, so that a problem becomes a status and not a broken answer.
    return chain([next(answer, b"")], answer)


def refuse_answered(layout: Layout) -> None:
    """Raise a `Problem` 422 when a table has a column of the name of one that it gets."""
    taken = [name for name in layout.added if name in layout.columns]
    if taken:
        raise unusable(
            f"the table has columns {listed(taken)} already, and the answer adds columns of these "
            "names: remove or rename them, or ask for JSON",
            column=taken[0],
        )


def _whole(chunks: Iterator[Chunk], limits: Limits) -> list[Chunk]:
    """Return all chunks; their joint covariance needs every row at once."""
    whole: list[Chunk] = []
    for chunk in chunks:
        whole.append(chunk)
        refuse_large_covariance(sum(len(part.X) for part in whole), limits)
    if any(chunk.errors for chunk in whole):
        raise unusable("covariance=true needs every row to be valid", option="covariance")
    return whole


_List = Annotated[list[Any], Meta(extra_json_schema={"items": {}})]

Numbers = Annotated[
    float | _List | None,
    Meta(description="a number, or numbers nested as the points are; null in a bad row"),
]


class Prediction(TypedDict):
    """A prediction; the options of the request say which members it has."""

    mean: Numbers
    variance: Numbers
    lower: NotRequired[Numbers]
    upper: NotRequired[Numbers]
    gradient: NotRequired[
        Annotated[dict[str, _List], Meta(description="of mean and variance, by feature")]
    ]
    samples: NotRequired[_List]
    extrapolated: NotRequired[
        Annotated[bool | _List, Meta(description="which points are outside the training range")]
    ]
    errors: NotRequired[
        Annotated[list[dict[str, Any]], Meta(description="`row` and `reason` of each bad row")]
    ]
    covariance: NotRequired[
        Annotated[float | _List, Meta(description="a row per point, or the variance of one point")]
    ]


def few_points(P: FloatArray, outside: BoolArray, shape: tuple[int, ...]) -> bytes:
    """Return the JSON answer for few points, P of shape (n, 2), as `json_pieces` writes it."""
    if shape == ():
        mean, variance = P[0].tolist()
        prediction: Prediction = {"mean": mean, "variance": variance}
    else:
        prediction = {
            "mean": P[:, 0].reshape(shape).tolist(),
            "variance": P[:, 1].reshape(shape).tolist(),
        }
    if outside.any():
        prediction["extrapolated"] = outside.reshape(shape).tolist()
    return _encode(prediction)


def csv_pieces(layout: Layout, answered: Iterator[Answered]) -> Iterator[bytes]:
    """Yield a CSV table: the input's columns, then the numbers; one line per point."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=layout.delimiter, lineterminator="\n")
    writer.writerow([*layout.columns, *layout.added])
    for part in answered:
        if (lines := _repeated(part.chunk, layout)) is not None:
            yield _taken(text) + _plain_lines(layout, part, lines)
            continue
        cells: list[Any] = part.chunk.cells or _inputs(part.chunk, layout.features)
        numbers: list[list[Any]] = part.values.tolist()
        if layout.commas:
            numbers = [[repr(number).replace(".", ",") for number in row] for row in numbers]
        rows = [[*a, *b] for a, b in zip(cells, numbers, strict=True)]
        if layout.mark or layout.reasons:
            _append_marks(layout, part, rows)
        writer.writerows(rows)
        yield _taken(text)
    if text.tell():
        yield _taken(text)


def _repeated(chunk: Chunk, layout: Layout) -> list[bytes] | None:
    """Return the input's part of each line, if no cell of it can need quotes."""
    if chunk.text is not None:
        return chunk.text.split(b"\n")[:-1]
    if chunk.cells is None and not layout.features.words and len(chunk.X):
        columns = _columns(chunk.X, commas=False)
        return list(map(layout.delimiter.encode().join, zip(*columns, strict=True)))
    return None


def _plain_lines(layout: Layout, part: Answered, lines: list[bytes]) -> bytes:
    columns = [lines, *_columns(part.values, commas=layout.commas)]
    if layout.mark:
        columns.append([b"true" if outside else b"false" for outside in part.extrapolated.tolist()])
    if layout.reasons:
        columns.append([b""] * len(lines))
    rows = map(layout.delimiter.encode().join, zip(*columns, strict=True))
    return b"\n".join([*rows, b""])


def _columns(values: FloatArray, *, commas: bool) -> list[list[bytes]]:
    """Return the cells of each column of `values`, with numbers as `repr` writes them.

    JSON's encoder takes a seventh of the time, and has another form for large and small numbers.
    """
    flat = values.ravel()
    cells = _encode(flat.tolist())[1:-1].split(b",")
    size = np.abs(flat)
    alike = ((size >= _LEAST_ALIKE) & (size < _MOST_ALIKE)) | (size == 0)
    if not alike.all():
        for i in np.flatnonzero(~alike).tolist():
            cells[i] = repr(flat[i].item()).encode()
    if commas:
        cells = [cell.replace(b".", b",") for cell in cells]
    k = values.shape[1]
    return [cells[j::k] for j in range(k)]


def _inputs(chunk: Chunk, features: Features) -> list[list[Any]]:
    """Return the points as cells of a table."""
    rows = chunk.X.tolist()
    return [features.inputs(row) for row in rows] if features.words else rows


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode("utf-8", "surrogateescape")
    text.seek(0)
    text.truncate()
    return piece


def _append_marks(layout: Layout, part: Answered, rows: list[list[Any]]) -> None:
    if layout.mark:
        for row, outside in zip(rows, part.extrapolated.tolist(), strict=True):
            row.append("true" if outside else "false")
    if layout.reasons:
        for i, row in enumerate(rows):
            row.append(part.chunk.errors.get(i, ""))


def ndjson_pieces(layout: Layout, answered: Iterator[Answered]) -> Iterator[bytes]:
    """Yield one JSON object per point, each on its own line."""
    for part in answered:
        lines = []
        for i, row in enumerate(part.values.tolist()):
            document = _one_point(layout, row)
            if part.extrapolated[i]:
                document["extrapolated"] = True
            if i in part.chunk.errors:
                document["error"] = part.chunk.errors[i]
            lines.append(_encode(document))
        yield b"".join(line + b"\n" for line in lines)


def _one_point(layout: Layout, row: list[float]) -> dict[str, Any]:
    plain = len(row) - layout.samples - (2 * len(layout.features.names) if layout.gradient else 0)
    document: dict[str, Any] = dict(zip(layout.names[:plain], row, strict=False))
    if layout.gradient:
        d = len(layout.features.names)
        parts = row[plain : plain + d], row[plain + d : plain + 2 * d]
        document["gradient"] = {"mean": parts[0], "variance": parts[1]}
    if layout.samples:
        document["samples"] = row[len(row) - layout.samples :]
    return document


def npy_pieces(layout: Layout, answered: Iterator[Answered]) -> Iterator[bytes]:
    """Yield a .npy file of shape (..., k); the number of rows must be known."""
    assert layout.shape is not None
    yield arrays.header_bytes((*layout.shape, len(layout.names)))
    for part in answered:
        yield np.ascontiguousarray(part.values, dtype="<f8").tobytes()


def json_pieces(layout: Layout, answered: Iterator[Answered]) -> Iterator[bytes]:
    """Yield one JSON object: numbers for one point, arrays of the leading shape for many.

    The object has all means before all variances, so the numbers wait in a temporary file.
    """
    buffered = _Buffered(len(layout.names))
    for part in answered:
        buffered.add(part)
    values, outside = buffered.values(), np.concatenate(buffered.outside)
    shape = layout.shape if layout.shape is not None else (len(values),)
    yield b"{"
    plain = values.shape[1] - layout.samples - (2 * len(layout.features.names) * layout.gradient)
    for i, name in enumerate(layout.names[:plain]):
        yield (b"" if i == 0 else b",") + _encode(name) + b":"
        yield from array_pieces(values[:, i].reshape(shape))
    yield from _nested(layout, values, plain, shape)
    if outside.any():
        yield b',"extrapolated":'
        yield from array_pieces(outside.reshape(shape))
    yield from buffered.errors()
    if layout.covariance is not None:
        K = layout.covariance
        yield b',"covariance":' + _encode(K.item() if layout.shape == () else K.tolist())
    yield b"}"


def _nested(
    layout: Layout, values: FloatArray, start: int, shape: tuple[int, ...]
) -> Iterator[bytes]:
    d = len(layout.features.names)
    if layout.gradient:
        yield b',"gradient":{"mean":'
        yield from array_pieces(values[:, start : start + d].reshape(*shape, d))
        yield b',"variance":'
        yield from array_pieces(values[:, start + d : start + 2 * d].reshape(*shape, d))
        yield b"}"
    if layout.samples:
        yield b',"samples":'
        draws = values[:, values.shape[1] - layout.samples :].T
        yield from array_pieces(draws.reshape(layout.samples, *shape))


def array_pieces(array: FloatArray | BoolArray) -> Iterator[bytes]:
    """Yield an array as nested JSON lists, piece by piece."""
    if array.ndim == 0:
        yield _encode(array.item())
        return
    step = max(1, _PIECE // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        opening = b"[" if start == 0 else b","
        yield opening + _encode(array[start : start + step].tolist())[1:-1]
    yield b"]"


class _Buffered:
    """Numbers that wait for the rest: few in memory, many in a temporary file."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._reasons: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._rows = 0
        self.outside: list[BoolArray] = []

    def add(self, part: Answered) -> None:
        self._file.write(np.ascontiguousarray(part.values).tobytes())
        self.outside.append(part.extrapolated)
        renumbered = ((self._rows + i, reason) for i, reason in part.chunk.errors.items())
        for row, reason in chain(part.chunk.dropped, renumbered):
            error = _encode({"row": row, "reason": reason})
            self._reasons.write(b"," + error if self._reasons.tell() else error)
        self._rows += len(part.values)

    def values(self) -> FloatArray:
        if self._file.tell() <= _IN_MEMORY:
            self._file.seek(0)
            return np.frombuffer(self._file.read()).reshape(-1, self._k)
        self._file.flush()
        return np.memmap(self._file, np.float64, "r", shape=(self._rows, self._k))

    def errors(self) -> Iterator[bytes]:
        """Yield the member that lists the bad rows, if there are any."""
        if not self._reasons.tell():
            return
        self._reasons.seek(0)
        yield b',"errors":['
        while piece := self._reasons.read(_LISTED_AT_ONCE):
            yield piece
        yield b"]"


_WRITERS = {
    negotiation.JSON: json_pieces,
    negotiation.CSV: csv_pieces,
    negotiation.NPY: npy_pieces,
    negotiation.NDJSON: ndjson_pieces,
}
