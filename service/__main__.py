"""The command line: train a model, predict without HTTP, convert a pickled GPy model."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import click
import numpy as np
from threadpoolctl import threadpool_limits

from service.gpr import GPR
from service.gpr.fitting import fit_and_score, split
from service.gpr.trainingdata import read_training_data
from service.model import Description, Model, check_model_name
from service.runtime.pool import TilePool
from service.services import negotiation, writing
from service.services.body import GZIP_MAGIC, open_body
from service.services.chunks import CHUNK_TILES
from service.services.options import Options
from service.services.prediction import Limits
from service.services.problems import Problem
from service.services.reading import Reader


def train_file(
    data: Path,
    target: str,
    out: Path,
    *,
    features: Sequence[str],
    kernel: str,
    ard: bool,
    inducing: int,
    restarts: int,
    held_out: float,
    name: str | None,
) -> GPR:
    """Train on a part of the rows, score on the rest, write the file, and say how it went."""
    name = name or Path(data.name.removesuffix(".gz")).stem
    check_model_name(name)
    table = read_training_data(data, target, features)
    known, unseen = split(len(table.y), held_out)
    with click.progressbar(length=restarts, label=f"fitting {kernel} to {len(known)} rows") as bar:
        model = fit_and_score(
            table,
            kernel=kernel,
            ard=ard,
            inducing=inducing,
            restarts=restarts,
            held_out=held_out,
            name=name,
            progress=lambda: bar.update(1),
        )
    found = model.description.scores
    model.save(out)
    click.echo(f"held out           {len(unseen)} rows")
    click.echo(
        f"RMSE               {found['rmse']:.4g}  (output's deviation {np.std(table.y):.4g})"
    )
    click.echo(f"log density        {found['log_predictive_density']:.4g}")
    click.echo(f"95 % coverage      {found['coverage_95']:.1%}")
    click.echo(f"{out}: {model.description.kernel}, version {model.description.version}")
    return model


def convert_file(
    pickle_file: Path, out: Path, names: Sequence[str] | None, output_name: str
) -> Description:
    """Unpickle a GPy model, which runs what the file contains, and write its model file.

    Raises
    ------
    ValueError
        The file is no pickle of a GPy model that can be served.
    """
    with pickle_file.open("rb") as stream:
        try:
            m = pickle.load(stream)
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
            raise ValueError(f"{pickle_file.name} cannot be unpickled: {error}") from error
    if not hasattr(m, "kern") or not hasattr(m, "likelihood"):
        raise ValueError(f"{pickle_file.name} holds a {type(m).__name__}, not a GPy model")
    default = [f"x{i + 1}" for i in range(m.input_dim)]
    model = GPR.from_gpy(m, names or default, output_name)
    model.save(out)
    return model.description


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
                writing.pieces(model, table, options, negotiation.CSV, TilePool().predict, limits)
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


class NewFile(click.Path):
    """The path of a file in a folder that is there and may be written to."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a path without such a folder."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        folder = path.parent
        if not os.access(folder, os.W_OK):
            there = "may not be written to" if folder.is_dir() else "is not there"
            self.fail(f"{path}: the folder {folder} {there}", param, ctx)
        return path


BUNDLED_DATA = Path(__file__).resolve().parent.parent / "data" / "quakes.csv"
BUNDLED_TARGET = "mag"
BUNDLED_MODEL = Path(__file__).resolve().parent / "pretrained.npz"


@click.group()
def main() -> None:
    """Train, convert and use Gaussian process models."""


@main.command()
@click.argument(
    "data", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--target", help="Column of the output; must be given with DATA.")
@click.option("--features", help="Columns of the inputs, with commas; default: all others.")
@click.option("--kernel", default="RBF", show_default=True, help='A sum, as in "Matern52 + White".')
@click.option("--ard/--no-ard", default=True, show_default=True, help="A lengthscale an input.")
@click.option("--inducing", default=0, type=click.IntRange(0), help="Inducing inputs; 0: exact GP.")
@click.option("--restarts", default=3, show_default=True, type=click.IntRange(1))
@click.option("--held-out", default=0.2, show_default=True, type=click.FloatRange(0.01, 0.9))
@click.option("--name", help="The model's name; default: the data's.")
@click.option("--out", type=NewFile(), help="The model file.")
def train(
    data: Path | None,
    target: str | None,
    features: str | None,
    kernel: str,
    ard: bool,
    inducing: int,
    restarts: int,
    held_out: float,
    name: str | None,
    out: Path | None,
) -> None:
    """Fit a GP on the CSV DATA, or on the bundled data, and write it to a model file.

    A share of the rows is held out to score the model. The model that is written is the one that
    was scored: it has not seen those rows.
    """
    if data is not None and target is None:
        raise click.UsageError("say which column of the data is the output: --target NAME")
    try:
        train_file(
            data or BUNDLED_DATA,
            target or BUNDLED_TARGET,
            out or (BUNDLED_MODEL if data is None else data.with_suffix(".npz")),
            features=[part.strip() for part in features.split(",")] if features else [],
            kernel=kernel,
            ard=ard,
            inducing=inducing,
            restarts=restarts,
            held_out=held_out,
            name=name,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("points", type=click.File("rb"))
@click.option(
    "--model",
    "model_file",
    default=BUNDLED_MODEL,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model file; default: the bundled one.",
)
@click.option("--out", default="-", type=click.File("wb"), help="Default: standard output.")
@click.option("--interval", type=float, help="Add the bounds of this probability, as 0.95.")
@click.option("--on-bad-row", type=click.Choice(["fail", "nan"]), default="fail")
def predict(
    points: BinaryIO,
    model_file: Path,
    out: BinaryIO,
    interval: float | None,
    on_bad_row: Literal["fail", "nan"],
) -> None:
    """Append mean and variance to the rows of the CSV POINTS (- is standard input)."""
    from service.gpr import GPR
    from service.services.options import Options

    if interval is not None and not 0 < interval < 1:
        raise click.UsageError("--interval is a probability between 0 and 1")
    options = Options(interval=interval, on_bad_row=on_bad_row)
    try:
        predict_table(GPR.load(model_file), points, out, options)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("pickle_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--features", help="Names of the inputs, with commas; default: x1, x2, …")
@click.option("--output", "output_name", default="y", show_default=True)
@click.option("--out", type=NewFile(), help="The model file.")
@click.option("--yes-i-trust-this-file", "trusted", is_flag=True, help="Do not ask.")
def convert(
    pickle_file: Path, features: str | None, output_name: str, out: Path | None, trusted: bool
) -> None:
    """Make a model file of a pickled GPy model.

    Reading a pickle runs whatever program it contains, with your rights. The server never does.
    """
    if not trusted:
        click.confirm(
            f"Reading {pickle_file.name} runs whatever program it contains, with your rights.\n"
            "Do you trust who made it?",
            abort=True,
        )

    names = [part.strip() for part in features.split(",")] if features else None
    target = out or pickle_file.with_suffix(".npz")
    try:
        description = convert_file(pickle_file, target, names, output_name)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{target}: {description.kernel}, version {description.version}")


@main.command()
@click.option("--tied", is_flag=True, help="End when the process that started this one ends.")
def worker(tied: bool) -> None:
    """Work on jobs until SIGTERM; health and metrics on GPSERVE_WORKER_BIND."""
    from service.local.up import end_with_parent
    from service.settings import SettingsError
    from service.worker.worker import main as work

    if tied:
        end_with_parent()
    try:
        work()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.command()
def up() -> None:
    """Run the server, a worker and, without a Redis, a private Valkey; Ctrl-C stops all."""
    from service.local.up import up as run_all
    from service.settings import SettingsError

    try:
        run_all()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.command(hidden=True)
def valkey() -> None:
    """Be the private Valkey of `up`."""
    from service.local.up import data_folder, end_with_parent
    from service.local.up import run as become

    end_with_parent()
    become(data_folder())


@main.command(hidden=True)
def serve() -> None:
    """Be the server of `up`."""
    import os

    from service.local.up import end_with_parent

    end_with_parent()
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "service.app:app"])


@main.command()
def settings() -> None:
    """Print the server's settings as docs/settings.md shows them."""
    from service.settings import page

    click.echo(page(), nl=False)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m service"))
