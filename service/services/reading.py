"""Read points from a body in any of the formats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import BinaryIO

import numpy as np
from werkzeug.datastructures import FileStorage, MultiDict

from service.model import FloatArray
from service.services import arrays
from service.services import options as optional
from service.services.body import Spool, bounded, refuse_larger
from service.services.chunks import Chunk, Source, row_ranges
from service.services.errors import Problem, malformed
from service.services.features import Features
from service.services.jsonpoints import read_json
from service.services.jsonrows import RowReader, opening, wrong_shape_too_large
from service.services.options import Options
from service.services.parsing import LARGE, parsing
from service.services.plainrows import Kept, KeptRows
from service.services.points import Points, read_fields, refuse_too_many
from service.services.tables import Table

Fields = list[tuple[str, str]]

SUPPORTED = "application/json, text/csv, application/x-npy, multipart/form-data, form fields"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads points for one model.

    Attributes
    ----------
    rows : rows per chunk, a multiple of the model's large tile
    max_points, max_json_bytes, max_parsed_bytes : the most that one request may hold
    """

    features: Features
    rows: int
    max_points: int
    max_json_bytes: int
    max_parsed_bytes: int

    def json(
        self, body: BinaryIO, query: Fields, announced: int | None = None
    ) -> tuple[Source, Options]:
        """Read points and options of a JSON body; options may also be in the query."""
        limit = self.max_json_bytes
        detail = (
            f"the JSON is larger than {limit} bytes: send CSV or .npy, which are read in pieces"
        )
        refuse_larger(announced, limit, detail)
        start = body.read(LARGE)
        if len(start) == LARGE and not self.features.codes and (found := opening(start)):
            rest = bounded(body, limit, detail, len(start))
            X, options = RowReader(start, found, rest, self.features, self.max_points).read()
            source = self._in_chunks(X, (len(X),))
        else:
            source, options = self._whole(start, body, detail)
        if query:
            options = optional.with_query(options, self._options_only(query))
        return source, options

    def _whole(self, start: bytes, body: BinaryIO, detail: str) -> tuple[Source, Options]:
        """Read points in any shape, from a body that begins with `start`."""
        most, limit = self.max_json_bytes, min(self.max_json_bytes, self.max_parsed_bytes)
        text = start
        if len(start) == LARGE:
            text += body.read(max(limit - LARGE, 0) + 1)
        if len(text) > limit:
            refuse_larger(len(text), most, detail)
            raise wrong_shape_too_large(limit, most)
        with parsing(len(text)):
            return self._parsed(text)

    def _parsed(self, text: bytes) -> tuple[Source, Options]:
        read = read_json(text, self.features)
        return self._source(read), read.options

    def fields(self, fields: Fields) -> tuple[Source, Options]:
        """Read points and options of a query string or a form."""
        read = read_fields(fields, self.features)
        return self._source(read), read.options

    def file(self, body: BinaryIO, fields: Fields, *, counted: bool) -> tuple[Source, Options]:
        """Read points of a CSV or .npy file, told apart by the first bytes, and options."""
        options = self.options(fields)
        if _starts_like_array(body):
            return self.array(body), options
        return self.table(body, options, counted=counted), options

    def array(self, body: BinaryIO) -> Source:
        """Read points of a .npy file."""
        return arrays.read_array(Spool(body), self.features, size=self.rows, limit=self.max_points)

    def table(self, body: BinaryIO, options: Options, *, counted: bool) -> Source:
        """Read points of a CSV table.

        A table of more than one chunk is read twice when a bad row fails the request, so that one
        near the end still becomes a status, and when the answer must begin with the number of rows
        (`counted`). The second time, the numbers of plain rows are there.
        """
        if not counted and options.on_bad_row != "fail":
            return self._table(body, options)
        spool = Spool(body)
        first = self._table(spool.open(), options)
        only = next(first.chunks, Chunk(np.empty((0, 0))))
        following = next(first.chunks, None)
        if following is None:
            return replace(first, shape=(len(only.X),), chunks=iter((only,)))
        n, kept = 0, KeptRows()
        for chunk in chain((only, following), first.chunks):
            n += len(chunk.X)
            kept.add(chunk)
        return self._table(spool.open(), options, (n,), kept)

    def _table(
        self,
        body: BinaryIO,
        options: Options,
        shape: tuple[int, ...] | None = None,
        kept: Iterable[Kept] = (),
    ) -> Source:
        table = Table(body, self.features, options)
        chunks = table.chunks(self.rows, self.max_points, kept)
        return Source(table.columns, shape, chunks, table.delimiter, table.commas)

    def options(self, fields: Fields) -> Options:
        """Read the options in the fields; raise a `Problem` 422 for anything else."""
        return optional.read(self._options_only(fields), text=True) if fields else optional.PLAIN

    def _options_only(self, fields: Fields) -> dict[str, str]:
        unknown = [key for key, _ in fields if key not in optional.NAMES]
        if unknown:
            raise Problem(
                422,
                f"unknown option {unknown[0][:80]!r}; options: {', '.join(sorted(optional.NAMES))}",
                where={"option": unknown[0][:80]},
            )
        return optional.once(fields)

    def _source(self, read: Points) -> Source:
        refuse_too_many(len(read.rows), self.max_points)
        return self._in_chunks(np.array(read.rows, dtype=np.float64), read.shape)

    def _in_chunks(self, X: FloatArray, shape: tuple[int, ...]) -> Source:
        parts = (Chunk(X[a:b]) for a, b in row_ranges(len(X), self.rows))
        return Source(list(self.features.names), shape, parts)


def _starts_like_array(body: BinaryIO) -> bool:
    peek = body.peek(len(arrays.MAGIC))  # type: ignore[attr-defined]
    return bool(peek[: len(arrays.MAGIC)] == arrays.MAGIC)


def only_file(files: MultiDict[str, FileStorage]) -> None:
    """Raise a `Problem` 400 unless the file of a multipart form is the part `file`."""
    listed = sorted(name for name, _ in files.items(multi=True))
    if "file" not in listed:
        raise malformed(f"the form has no part 'file'; it has {', '.join(listed)[:200] or 'none'}")
