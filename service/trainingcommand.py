"""What the commands `train` and `convert` do, apart from reading their options."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from service.gpr import GPR
from service.gpr.fitting import fit_and_score
from service.gpr.scoring import split
from service.gpr.trainingdata import read_training_data
from service.model import Description
from service.modelname import check_model_name


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
