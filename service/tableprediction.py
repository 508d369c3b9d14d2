"""A CSV in, the same CSV with mean and variance out, as the service would answer it."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from threadpoolctl import threadpool_limits

from service.model import Model
from service.runtime.pool import TilePool
from service.services import answering, negotiation
from service.services.body import GZIP_MAGIC, open_body
from service.services.chunks import CHUNK_TILES
from service.services.options import Options
from service.services.prediction import Limits
from service.services.problems import Problem
from service.services.reading import Reader

_UNLIMITED = 2**63


def predict_table(model: Model, source: BinaryIO, target: BinaryIO, options: Options) -> None:
    """Append mean and variance to every row of `source`.

    Raises
    ------
    ValueError
        A column is missing, or a cell is not a finite number; it says on which line.
    """
    names, rows = model.description.feature_names, CHUNK_TILES * model.large_tile
    reader = Reader(names, rows, _UNLIMITED, _UNLIMITED)
    limits = Limits(_UNLIMITED, _UNLIMITED)
    try:
        table = reader.table(_unpacked(source), options, counted=False)
        with threadpool_limits(1, "blas"):  # as in the service: tiles run side by side instead
            target.writelines(
                answering.pieces(model, table, options, negotiation.CSV, TilePool().predict, limits)
            )
    except Problem as problem:
        raise ValueError(_with_line(problem)) from None


def _unpacked(source: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(cast(io.RawIOBase, source))
    gzipped = buffered.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
    return open_body(buffered, "gzip" if gzipped else "", _UNLIMITED)


def _with_line(problem: Problem) -> str:
    line = problem.where.get("line")
    known = line is None or problem.detail.startswith("line ")
    return problem.detail if known else f"line {line}: {problem.detail}"
