"""Commands of modellers: train, convert and diagnose a model."""

from __future__ import annotations

import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from service.commands.options import (
    BUNDLED_MODEL,
    DECIMAL,
    INPUT_FILE,
    FileCommand,
    OutputFile,
    decompressed,
    names_in,
    refuse_input,
)
from service.gpr import GPR
from service.gpr.means import BASES
from service.gpr.trainingdata import TrainingData, TrainingOptions, check_table
from service.jobs.trainingrows import training_data
from service.model import Description, Unsupported, check_model_name, write_file
from service.runtime.pool import cpu_limit, threads_for
from service.services import plots
from service.services.diagnostics import METHODS, in_words
from service.services.errors import Problem
from service.services.trainingtables import table_of_csv

# GPy is imported when it is needed: it would cost the other commands half a second.

BUNDLED_DATA = Path(__file__).resolve().parent.parent.parent / "data" / "quakes.csv"
BUNDLED_TARGET = "mag"


@click.command(cls=FileCommand)
@click.argument("data", required=False, type=INPUT_FILE)
@click.option("--target", help="Column of the output; required with DATA.")
@click.option("--features", help="Input columns, separated by commas; default: all others.")
@click.option(
    "--categorical",
    help="Columns of words, or of numbers that stand for kinds, separated by commas.",
)
@click.option("--leave-out", help="Columns that are not used, separated by commas.")
@click.option("--drop-missing", is_flag=True, help="Leave out rows with missing cells.")
@click.option("--noise-column", help="Column of the known noise variance of each row.")
@DECIMAL
@click.option(
    "--kernel",
    default="RBF",
    show_default=True,
    help='Sums and products by name, as in "Matern52 + White".',
)
@click.option(
    "--mean",
    type=click.Choice(BASES),
    default="none",
    show_default=True,
    help="The value that predictions approach far from the data.",
)
@click.option(
    "--noise",
    default="auto",
    show_default=True,
    help="auto; none, for simulators; or a share of the output's variance.",
)
@click.option("--ard/--no-ard", default=True, show_default=True, help="One lengthscale per input.")
@click.option("--inducing", default=0, help="Inducing inputs; 0: exact GP.")
@click.option(
    "--restarts", default=3, show_default=True, help="Starts of the optimiser; the best is kept."
)
@click.option(
    "--held-out", default=0.2, show_default=True, help="Share of the rows that score the model."
)
@click.option(
    "--held-out-only",
    is_flag=True,
    help="Use the held-out rows for scoring only; do not add them to the final model.",
)
@click.option("--name", help="The model's name; default: the data's.")
@click.option(
    "--out",
    type=OutputFile(),
    help="The model file; default: DATA's name with .npz, or without DATA the bundled model.",
)
def train(data: Path | None, out: Path | None, target: str | None, **given: Any) -> None:
    """Fit a GP on the CSV DATA, or on the bundled data, and write it to a model file.

    A share of the rows is held out to score the model. The model that is written has the
    hyperparameters that were scored, and all rows, unless --held-out-only.
    """
    if data is not None and target is None:
        raise click.UsageError("name the column of the output: --target NAME")
    source = data or BUNDLED_DATA
    given["target"] = target or BUNDLED_TARGET
    for option in ("features", "categorical", "leave_out"):
        given[option] = names_in(given[option])
    given["noise_column"] = given["noise_column"] or ""
    unpacked = source.with_suffix("") if source.suffix == ".gz" else source
    given["name"] = given["name"] or unpacked.stem
    default = BUNDLED_MODEL if data is None else unpacked.with_suffix(".npz")
    target_file = _output(out, default, source)
    try:
        options = msgspec.convert(given, TrainingOptions)
        check_model_name(options.name)
        with source.open("rb") as stream:
            content = decompressed(stream).read()
        table = training_data(table_of_csv(content), options)
        check_table(table, options)
        model = _fit(table, options)
    except msgspec.ValidationError as error:
        raise click.UsageError(_limit(str(error))) from None
    except Problem as problem:
        raise click.ClickException(f"{source.name}: {problem.detail}") from None
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    model.save(target_file)
    if table.dropped:
        click.echo(f"{'left out':18} {table.dropped} rows with missing or unreadable cells")
    click.echo(f"{'output deviation':18} {np.std(table.y):.4g}")
    _print_scores(model)
    for note in _notes(table):
        click.echo(note)
    _print_written(target_file, model.description)


def _output(out: Path | None, default: Path, source: Path) -> Path:
    """Return the path of the output, which is not that of the source."""
    target: Path = out or OutputFile().convert(default, None, None)
    refuse_input(target, source)
    return target


def _limit(error: str) -> str:
    """Return msgspec's error about a training option in words."""
    reason, _, path = error.partition(" - at `$.")
    name = path.rstrip("`").replace("_", "-")
    limit = re.fullmatch(r"Expected `\w+` (of length )?([<>])= ([\d.]+)", reason)
    if not limit:
        return f"--{name}: {reason}"
    most = "at most" if limit[2] == "<" else "at least"
    must = f"have {most} {limit[3]} characters" if limit[1] else f"be {most} {limit[3]}"
    return f"--{name} must {must}"


def _notes(table: TrainingData) -> list[str]:
    from service.gpr.fitting import notes

    return notes(table)


def _fit(table: TrainingData, options: TrainingOptions) -> GPR:
    from service.gpr.fitting import fit_and_score, split

    known, _ = split(len(table.y), options.held_out)
    label = f"fitting {options.kernel} to {len(known)} rows"
    with click.progressbar(length=options.restarts, label=label) as bar:
        cpus = threads_for(cpu_limit())
        return fit_and_score(table, options, cpus=cpus, progress=lambda _: bar.update(1))


def _print_scores(model: GPR) -> None:
    """Print the scores in a column for each way of scoring, the worst rows, and the verdict."""
    scores = model.description.scores
    found = {words: in_words(scores[name]) for name, words in METHODS.items() if name in scores}
    if found:
        click.echo(f"{'':18}" + "".join(f"{words:>15}" for words in found))
    for label in dict.fromkeys(label for each in found.values() for label in each):
        cells = [each.get(label, "") for each in found.values()]
        click.echo(f"{label:18}" + "".join(f"{cell:>15}" for cell in cells))
    with suppress(Unsupported):
        diagnostics = model.diagnostics()
        worst = diagnostics.rows[diagnostics.worst(5)]
        among = "of the held-out ones" if diagnostics.method == "held_out" else "in file order"
        click.echo(f"{'worst rows':18} {', '.join(map(str, worst))} ({among}, the first is 0)")
    for sentence in scores["verdict"]:
        click.echo(sentence)


def _print_written(path: Path, description: Description) -> None:
    click.echo(f"{path}: {description.kernel}, version {description.version}")


@click.command(cls=FileCommand)
@click.argument("pickle_file", type=INPUT_FILE)
@click.option("--features", help="Input names, separated by commas; default: the model's, or x1, …")
@click.option("--output", "output_name", default="y", show_default=True, help="The output's name.")
@click.option(
    "--out", type=OutputFile(), help="The model file; default: PICKLE_FILE's name with .npz."
)
@click.option("--yes-i-trust-this-file", "trusted", is_flag=True, help="Do not ask.")
def convert(
    pickle_file: Path, features: str | None, output_name: str, out: Path | None, trusted: bool
) -> None:
    """Convert a pickled model of GPy or scikit-learn to a model file.

    Reading a pickle runs any program that it contains, with your rights. The server never does.
    """
    target = _output(out, pickle_file.with_suffix(".npz"), pickle_file)
    if not trusted:
        click.confirm(
            f"Reading {pickle_file.name} runs any program that it contains, with your rights.\n"
            "Do you trust its author?",
            abort=True,
        )
    try:
        m = _unpickled(pickle_file)
        names = names_in(features)
        if type(m).__module__.startswith("sklearn."):
            model = GPR.from_sklearn(m, names or None, output_name)
        else:
            numbered = [f"x{i + 1}" for i in range(m.input_dim)]
            model = GPR.from_gpy(m, names or numbered, output_name)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    model.save(target)
    _print_written(target, model.description)


def _unpickled(path: Path) -> Any:
    with path.open("rb") as stream:
        try:
            m = pickle.load(stream)
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
            raise ValueError(f"{path.name} cannot be unpickled: {error}") from error
    known = hasattr(m, "kern") and hasattr(m, "likelihood")
    if not known and not type(m).__module__.startswith("sklearn."):
        kind = type(m).__name__
        raise ValueError(f"{path.name} holds a {kind}, not a model of GPy or scikit-learn")
    return m


@click.command(cls=FileCommand)
@click.argument("model_file", metavar="MODEL", type=INPUT_FILE)
@click.option("--out", type=OutputFile(), help="The picture; default: MODEL with .png.")
def diagnose(model_file: Path, out: Path | None) -> None:
    """Print how good the model in the file MODEL is, and draw it as a PNG.

    An exact GP predicts each training row from all others. A sparse GP is judged by the rows that
    were held out when it was trained.
    """
    target = _output(out, model_file.with_suffix(".png"), model_file)
    if target.suffix.lower() != ".png":
        raise click.UsageError(f"{target}: the picture is a PNG, so its name ends in .png")
    try:
        model = GPR.load(model_file)
        _print_scores(model)
        picture = plots.png(model.diagnostics(), model.description)
    except ImportError as error:
        message = f"the plots need matplotlib ({error}): pip install matplotlib"
        raise click.ClickException(message) from error
    except (ValueError, Unsupported) as error:
        raise click.ClickException(str(error)) from error
    write_file(target, [picture])
    click.echo(str(target))
