"""From a request's body to a job's input, piece by piece: memory stays flat whatever its size."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import BinaryIO, cast

import numpy as np

from service.gpr.trainingdata import TrainingData, TrainingDataError, check_table
from service.jobs.blobs import JobBlobs
from service.jobs.plans import row_bytes
from service.jobs.specs import INPUT, Form, Prediction, Training
from service.jobs.trainingrows import training_data
from service.model import Model
from service.services import arrays, negotiation, writing
from service.services.chunks import Answered, Chunk, Source
from service.services.errors import Problem, Where, unusable
from service.services.features import Features
from service.services.options import Options
from service.services.prediction import (
    Limits,
    refuse_covariance_as,
    refuse_large_covariance,
    refuse_many_samples,
)
from service.services.reading import Reader
from service.services.tables import Table
from service.services.trainingtables import TextTable, table_of_csv
from service.services.writing import Layout

_HEAD = 1 << 16
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class StoringReader(Reader):
    """A reader that checks the head of a table or an array and stores the rest unread.

    Attributes
    ----------
    blobs : of the job
    stored : gets the form of what has been stored; stays empty for points that were read instead
    """

    blobs: JobBlobs
    stored: list[Form]

    def array(self, body: BinaryIO) -> Source:
        """Store a .npy file."""
        head = body.read(_HEAD)
        header = arrays.read_header(io.BytesIO(head), len(self.features.names))
        if header.rows > self.max_points:
            raise Problem(413, f"{header.rows} points are more than {self.max_points}")
        arrays.refuse_wrong_size(header, self._store(head, body))
        self.stored.append("array")
        return Source(list(self.features.names), header.shape[:-1], iter(()))

    def table(self, body: BinaryIO, options: Options, *, counted: bool) -> Source:
        """Store a CSV table."""
        head = body.read(_HEAD)
        table = Table(io.BytesIO(head), self.features, options)
        self._store(head, body)
        self.stored.append("table")
        return Source(table.columns, None, iter(()))

    def _store(self, head: bytes, body: BinaryIO) -> int:
        rest = iter(partial(body.read, _PIECE), b"")
        return self.blobs.write(INPUT, chain([head], rest))


def check_limits(model: Model, n: int, options: Options, limits: Limits) -> None:
    """Raise a `Problem` 413 when too many draws or covariances of n points are asked for."""
    refuse_many_samples(model, options, n, limits)
    if options.covariance:
        refuse_large_covariance(n, limits)


def prediction_spec(
    blobs: JobBlobs,
    source: Source,
    options: Options,
    version: str,
    media_type: str,
    stored: Form | None = None,
) -> Prediction:
    """What a job is to predict; stores the points unless they are `stored` already.

    Raises `Problem`: 422 for a covariance in anything but JSON, and for a table that has columns of
    the answer already.
    """
    if media_type == negotiation.CSV:
        writing.refuse_answered(writing.layout_of(source, options, Features(())))
    form = stored or _store(blobs, source)
    if options.covariance:
        refuse_covariance_as(media_type)
    shape = source.shape if form == "array" else None
    return Prediction(
        version=version, form=form, options=options, media_type=media_type, shape=shape
    )


def _store(blobs: JobBlobs, source: Source) -> Form:
    first = next(source.chunks)
    if first.cells is None and first.text is None:
        blobs.write(INPUT, _array_pieces(source, first))
        return "array"
    blobs.write(INPUT, _table_pieces(source, first))
    return "table"


def _array_pieces(source: Source, first: Chunk) -> Iterator[bytes]:
    rows = int(np.prod(source.shape)) if source.shape is not None else len(first.X)
    header = arrays.header_bytes((rows, first.X.shape[1]))
    return chain([header], row_bytes(chain([first], source.chunks)))


def _table_pieces(source: Source, first: Chunk) -> Iterator[bytes]:
    layout = Layout(source.columns, [], Features(()), None, source.delimiter)
    return writing.csv_pieces(layout, map(_without_numbers, chain([first], source.chunks)))


def _without_numbers(chunk: Chunk) -> Answered:
    none = np.empty((len(chunk.X), 0))
    return Answered(chunk, none, none.astype(bool))


def training_table(data: bytes, spec: Training) -> TrainingData:
    """Read the stored table of a training; raises as `checked_training_data`."""
    return checked_training_data(table_of_csv(data), spec)


def checked_training_data(table: TextTable, spec: Training) -> TrainingData:
    """Return the rows that train a model.

    Raises `Problem`: 422 with the reasons, for data that cannot train a model: too few or too many
    rows, cells that are missing or not finite numbers (with the place of the first).
    """
    rows = training_data(table, spec)
    try:
        check_table(rows, spec)
    except TrainingDataError as error:
        raise unusable(str(error), **cast(Where, error.where)) from None
    return rows
