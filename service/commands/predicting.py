"""The command that predicts a table without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import click
from threadpoolctl import threadpool_limits

from service.commands.options import (
    BUNDLED_MODEL,
    DECIMAL,
    INPUT_FILE,
    STDOUT,
    UNLIMITED,
    FileCommand,
    OutputFile,
    decompressed,
    refuse_input,
)
from service.gpr import GPR
from service.model import Model, write_file
from service.runtime.pool import TilePool
from service.services import negotiation, writing
from service.services.chunks import CHUNK_TILES
from service.services.errors import Problem
from service.services.features import features_of
from service.services.options import Options
from service.services.prediction import Limits
from service.services.reading import Reader


@click.command(cls=FileCommand)
@click.argument("points", type=click.File("rb"))
@click.option(
    "--model",
    "model_file",
    default=BUNDLED_MODEL,
    type=INPUT_FILE,
    help="The model file; default: the bundled one.",
)
@click.option(
    "--out",
    default=STDOUT,
    type=OutputFile(dash=True),
    help="The file of the answers; default: -, the standard output.",
)
@click.option(
    "--interval",
    type=float,
    help="Add the lower and upper bound of the central interval with this probability, e.g. 0.95.",
)
@click.option(
    "--on-bad-row",
    type=click.Choice(["fail", "nan", "drop"]),
    default="fail",
    show_default=True,
    help="nan: answer it with the reason; drop: leave it out.",
)
@click.option(
    "--columns",
    default="",
    help="Columns of the features, separated by commas, as in lat=latitude,long=lon.",
)
@DECIMAL
def predict(
    points: BinaryIO,
    model_file: Path,
    out: Path,
    interval: float | None,
    on_bad_row: Literal["fail", "nan", "drop"],
    columns: str,
    decimal: Literal["auto", "point", "comma"],
) -> None:
    """Append mean and variance to the rows of the CSV POINTS (- is standard input)."""
    if interval is not None and not 0 < interval < 1:
        raise click.UsageError("--interval must be a probability between 0 and 1")
    refuse_input(out, model_file)
    options = Options(interval=interval, on_bad_row=on_bad_row, columns=columns, decimal=decimal)
    try:
        pieces = predict_table(GPR.load(model_file), points, options)
        if out == STDOUT:
            sys.stdout.buffer.writelines(pieces)
        else:
            write_file(out, pieces)
    except Problem as problem:
        raise click.ClickException(_with_line(problem)) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def predict_table(model: Model, source: BinaryIO, options: Options) -> Iterable[bytes]:
    """Read a CSV table, perhaps gzipped, and return it with mean and variance, piece by piece.

    Raises `Problem`: a column is missing, or a cell is not a finite number; with the ``line``.
    """
    rows = CHUNK_TILES * model.large_tile
    reader = Reader(features_of(model), rows, UNLIMITED, UNLIMITED, UNLIMITED)
    limits = Limits(UNLIMITED, UNLIMITED)
    table = reader.table(decompressed(source), options, counted=False)
    with threadpool_limits(1, "blas"):  # as in the service: tiles run side by side instead
        yield from writing.pieces(
            model, table, options, negotiation.CSV, TilePool().predict, limits
        )


def _with_line(problem: Problem) -> str:
    line = problem.where.get("line")
    known = line is None or problem.detail.startswith("line ")
    return problem.detail if known else f"line {line}: {problem.detail}"
