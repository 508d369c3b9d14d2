"""Rows of numbers in a large JSON body, decoded block by block: memory holds only the numbers."""

from __future__ import annotations

import re
from typing import BinaryIO

import msgspec
import numpy as np

from service.model import FloatArray
from service.services import options as optional
from service.services.errors import Problem, malformed, unusable
from service.services.features import Features
from service.services.jsonpoints import SHAPES
from service.services.jsontext import parse, reason, refuse_malformed
from service.services.options import Options
from service.services.parsing import one_at_a_time
from service.services.points import refuse_too_many, refuse_unknown

BLOCK = 64 << 10
"""Bytes that are decoded at once: about 3 ms, in which no other thread runs."""

_OPENING = re.compile(rb'"points"\s*:\s*\[(?=\s*\[\s*[^\[\s])')
_CLOSING = re.compile(rb"\]\s*\]")
_NO_ROW = re.compile(rb"\[[^\]]*\[|(?:\A|\]\s*,)\s*[^\[\s]")
"""Matches a list in a row, and anything that is not a row: the block may end within either."""

_LONGEST_ENVELOPE = 4096
_LONGEST_ROW = 1 << 20
_BLANKS = b" \t\r\n"
_rows = msgspec.json.Decoder(list[list[float]])


def opening(start: bytes) -> re.Match[bytes] | None:
    """Return where the rows of ``{"points": [[…], …]}`` begin in the start of a body."""
    return _OPENING.search(start, 0, _LONGEST_ENVELOPE)


class RowReader:
    """Reads the rows of numbers of one body.

    Parameters
    ----------
    start : the beginning of the body
    found : the `opening` in it
    body : what follows
    limit : the most points
    """

    def __init__(
        self, start: bytes, found: re.Match[bytes], body: BinaryIO, features: Features, limit: int
    ) -> None:
        self._head = start[: found.start()]
        self._buffer = start[found.end() :]
        self._at = found.end()
        self._body = body
        self._names = features.names
        self._limit = limit
        self._count = 0
        self._numbers = bytearray()

    def read(self) -> tuple[FloatArray, Options]:
        """Return the points, shape (n, d), and the options beside them.

        Raises `Problem`: 400 when the body is not JSON, 413 for too many points, 422 when a row
        does not hold d numbers.
        """
        while not self._read_block():
            pass
        options = self._options(self._tail())
        X = np.frombuffer(self._numbers, np.float64).reshape(self._count, len(self._names))
        return X, options

    def _read_block(self) -> bool:
        """Decode the rows that have arrived; return whether they were the last ones."""
        end = _CLOSING.search(self._buffer)
        cut = end.start() + 1 if end else self._buffer.rfind(b"]") + 1
        if cut:
            with one_at_a_time:
                self._decode(self._buffer[:cut])
            self._skip(cut)
            self._skip_blanks()
        elif len(self._buffer) > _LONGEST_ROW:
            raise unusable(
                f"a point has more than {_LONGEST_ROW} bytes", path=f"$.points[{self._count}]"
            )
        after = self._buffer[:1]
        if cut and after == b"]":
            self._skip(1)
            return True
        if cut and after != b",":
            raise malformed(
                f"the body is not JSON: point {self._count - 1} is not followed by , or ] "
                f"(byte {self._at})"
            )
        if cut:
            self._skip(1)
        if not self._receive() and b"]" not in self._buffer:
            raise malformed("the body is not JSON: it ends within the points")
        return False

    def _receive(self) -> bool:
        """Read more of the body; return whether there was more."""
        piece = self._body.read(BLOCK)
        self._buffer += piece
        return bool(piece)

    def _skip(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._at += count

    def _skip_blanks(self) -> None:
        """Skip blanks, however many, up to what follows or the end of the body."""
        more = True
        while more:
            self._skip(len(self._buffer) - len(self._buffer.lstrip(_BLANKS)))
            more = not self._buffer and self._receive()

    def _decode(self, block: bytes) -> None:
        path = "$.points"
        if b'"' in block:
            raise unusable("a point holds text, not only numbers", path=path)
        try:
            rows = _rows.decode(b"[" + block + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if isinstance(error, msgspec.ValidationError) and _NO_ROW.search(block):
                raise unusable("a point is not a list of numbers", path=path) from None
            refuse_malformed(b"[" + block + b"]", self._at - 1)
            detail, _, where = reason(error).partition(" - at `$")
            raise unusable(f"not a number: {detail}", path=self._path(where)) from None
        d = len(self._names)
        if set(map(len, rows)) != {d}:
            i, width = next((i, len(row)) for i, row in enumerate(rows) if len(row) != d)
            detail = f"a point has {width} numbers, expected {d}"
            raise unusable(detail, path=f"{path}[{self._count + i}]")
        self._count += len(rows)
        refuse_too_many(self._count, self._limit)
        self._numbers += np.array(rows, np.float64).tobytes()

    def _path(self, where: str) -> str:
        """Return the path in the body of a path in a block, as ``[3][0]``."""
        index = re.match(r"\[(\d+)\]", where)
        if index is None:
            return "$.points"
        rest = where[index.end() :].rstrip("`")
        return f"$.points[{self._count + int(index[1])}]{rest}"

    def _tail(self) -> bytes:
        while len(self._buffer) <= _LONGEST_ENVELOPE and self._receive():
            pass
        tail = self._buffer.rstrip(_BLANKS)
        if len(tail) > _LONGEST_ENVELOPE or self._body.read(1).strip(_BLANKS):
            raise unusable(
                f"more than {_LONGEST_ENVELOPE} bytes follow the points; options are short",
                path="$",
            )
        return tail

    def _options(self, tail: bytes) -> Options:
        """Read what stands around the points."""
        before = self._head + b'"points":null'
        refuse_malformed(before + tail, missing=self._at - len(before), cut=len(before))
        given = parse(before + tail)
        if not isinstance(given, dict) or given.pop("points", 0) is not None:
            raise unusable(f"the JSON body must be {SHAPES}", path="$")
        options = {key: given.pop(key) for key in optional.NAMES & given.keys()}
        refuse_unknown(given.keys(), self._names, "$")
        return optional.read(options, text=False)


def wrong_shape_too_large(limit: int, most: int) -> Problem:
    """Return a 413 for a large body whose points are in another shape."""
    return Problem(
        413,
        f'JSON of more than {limit} bytes is read only as {{"points": [[…], …]}} with rows of '
        f"numbers, up to {most} bytes; CSV and .npy are read piece by piece, whatever their size",
        where={"limit": limit},
    )
